package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/testtool"
)

func TestMain(m *testing.M) {
	testscript.Main(mainRunner{m}, map[string]func(){
		"cached":   func() { os.Exit(run(os.Args[1:])) },
		"ask-kept": func() { os.Exit(askKept(os.Args[1], os.Args[2])) },
		"connect-once": func() {
			if _, err := net.Dial("unix", os.Args[1]); err != nil {
				os.Exit(1)
			}
		},
	})
}

// mainRunner runs the tests under the leak checks; as the binary itself, none.
type mainRunner struct{ m *testing.M }

func (r mainRunner) Run() int {
	if code, done := testtool.OwnMounts(); done {
		return code
	}
	return blocktest.Run(r.m)
}

// TestScripts runs the binary as a user does; see testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			// ADDR and ADMIN are the daemon's; the rest is for scripts with a zone.
			for _, name := range []string{"ADDR", "ADMIN", "PEER", "GOSSIP", "ADDR2", "ADMIN2", "PEER2", "GOSSIP2"} {
				addr, err := freeAddress()
				if err != nil {
					return err
				}
				env.Setenv(name, addr)
			}
			env.Setenv("CACHED_SERVER", "http://"+env.Getenv("ADDR"))
			env.Setenv("DATA", env.WorkDir+"/data")
			env.Setenv("GID", fmt.Sprint(os.Getgid()))
			env.Setenv("LONG", strings.Repeat("x", 100))
			env.Setenv("HOME", env.WorkDir+"/home")
			// A program with the race detector waits one second before it ends; this one runs a hundred times.
			env.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=10")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"get":       scriptGet,
			"waitready": func(ts *testscript.TestScript, _ bool, _ []string) { waitFor(ts, func(r, up bool) bool { return r }) },
			"waitnotready": func(ts *testscript.TestScript, _ bool, _ []string) {
				waitFor(ts, func(r, up bool) bool { return up && !r })
			},
			"waitpeers":  scriptWaitPeers,
			"waitmetric": scriptWaitMetric,
			"waitup":     func(ts *testscript.TestScript, _ bool, _ []string) { waitFor(ts, func(r, up bool) bool { return up }) },
		},
	})
}

// waitFor polls the script's daemon until its state is as wanted.
func waitFor(ts *testscript.TestScript, wanted func(ready, up bool) bool) {
	pollStatus(ts, func(s *cachedv1.GetStatusResponse, err error) bool {
		return wanted(err == nil && len(s.GetNotReady()) == 0, err == nil)
	})
}

func pollStatus(ts *testscript.TestScript, wanted func(*cachedv1.GetStatusResponse, error) bool) {
	client, err := target{url: ts.Getenv("CACHED_SERVER"), ca: ts.Getenv("CACHED_CA"), tokenFile: ts.Getenv("CACHED_TOKEN_FILE")}.newClient()
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		status, err := client.Status(ctx)
		if wanted(status, err) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("the daemon did not get there in %s: %v %v", startTimeout, status, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// scriptWaitPeers waits until the daemon sees a zone of N nodes: waitpeers N.
func scriptWaitPeers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitpeers N")
	}
	pollStatus(ts, func(s *cachedv1.GetStatusResponse, err error) bool {
		return err == nil && fmt.Sprint(len(s.GetZone().GetPeers())) == args[0]
	})
}

// scriptWaitMetric waits until the daemon's metrics match: waitmetric REGEXP.
func scriptWaitMetric(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitmetric REGEXP")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(startTimeout)
	for {
		resp, err := client.Get("http://" + ts.Getenv("ADMIN") + "/metrics")
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if want.Match(body) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no metric matches %s after %s:\n%s", want, startTimeout, body)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// scriptGet fetches a URL: get [-status CODE] URL.
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	want := "200"
	if len(args) == 3 && args[0] == "-status" {
		want, args = args[1], args[2:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get [-status CODE] URL")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if got := fmt.Sprint(resp.StatusCode); got != want {
		ts.Fatalf("GET %s: status %s, want %s: %s", args[0], got, want, body)
	}
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
}
