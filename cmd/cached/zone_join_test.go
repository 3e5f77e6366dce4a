package main

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// silentSeed returns the address of a seed that accepts connections and says
// nothing: who has it among its seeds takes as long to join as it ever may.
func silentSeed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}

// A joiner is how a node of a test's zone is started.
func joiner(t *testing.T, node, origin string, more ...string) (args []string, gossip string) {
	t.Helper()
	peers, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if gossip, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	args = []string{
		"--data-dir", t.TempDir(), "--origin", "file://" + origin, "--l1-size", "256MiB", "--l2-size", "0",
		"--zone", "joined", "--node", node, "--zone-insecure", "--peer-listen", peers, "--gossip", gossip,
	}
	return append(args, more...), gossip
}

// A daemon that starts owns, as far as it knows, every block until it has met the
// zone: it must not answer anybody before.
func TestANodeThatStartsReadsNothingThatItsZoneHolds(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	ids := fillFolder(t, origin, 40)
	args, seed := joiner(t, "holder", origin)
	holder := startTestDaemon(t, args...)
	for _, id := range ids {
		readAndRelease(t, holder.client, id)
	}
	// This one keeps nothing: it asks the owner for every read, the new one as soon
	// as it is in its ring.
	args, _ = joiner(t, "reader", origin, "--weight", "0", "--l1-size", "0", "--seed", seed)
	reader := startTestDaemon(t, args...)
	args, _ = joiner(t, "new", origin, "--seed", seed, "--seed", silentSeed(t))
	started, err := execDemoDaemon("cached", args...)
	stopInTheEnd(t, started, err)
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				readAndRelease(t, reader.client, ids[i%len(ids)])
			}
		}
	})
	for _, id := range ids {
		first := firstBlock(t, started.client, id)
		first.Release()
	}
	close(done)
	others.Wait()
	for name, d := range map[string]*demoDaemon{"holder": holder, "reader": reader, "new": started} {
		want := uint64(0)
		if d == holder {
			want = uint64(len(ids))
		}
		if n := checkBooks(t, d.client).OriginReads; n != want {
			t.Errorf("node %s read the origin %d times, want %d", name, n, want)
		}
	}
}

// While it looks for its zone a daemon says so, and ends when it is told to.
func TestSIGTERMWhileTheZoneIsJoined(t *testing.T) {
	args, _ := joiner(t, "a", filepath.Join(t.TempDir(), "origin"), "--seed", silentSeed(t))
	d, err := execDemoDaemon("cached", args...)
	stopInTheEnd(t, d, err)
	for deadline := time.Now().Add(startTimeout); !slices.Contains(notReady(t, d), "starting: joining the zone"); {
		if time.Now().After(deadline) {
			t.Fatal("it never says that it joins its zone")
		}
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = <-d.exited
	d.exited <- err
	if err != nil || !strings.Contains(d.log.String(), "told to stop before the zone was joined") && !strings.Contains(d.log.String(), "draining") {
		t.Errorf("it ended with %v\n%s", err, d.log.String())
	}
}

// Nobody of the zone answers: the node is one of its own, and serves.
func TestANodeWhoseSeedsAreAllAwayServes(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	ids := fillFolder(t, origin, 1)
	args, _ := joiner(t, "a", origin, "--seed", silentSeed(t))
	readAndRelease(t, startTestDaemon(t, args...).client, ids[0])
}

// notReady asks the admin port why the daemon is not ready; it may not listen yet.
func notReady(t *testing.T, d *demoDaemon) []string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + d.admin + "/readyz")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var said struct {
		NotReady []string `json:"not_ready"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return said.NotReady
}
