package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/loadtest/images"
	"github.com/zonecache/cached/loadtest/zone"
)

const (
	startWithin = 5 * time.Minute
	pollEvery   = 3 * time.Millisecond
)

// run starts a container of the bundle on a node's host, waits until it is ready,
// and returns when that was. Then the container ends or is ended.
func (l *lab) run(t *testing.T, node *zone.Node, bundle string, img images.Image) time.Time {
	t.Helper()
	l.containers++
	id, root := fmt.Sprintf("host-%s-%d-%d", img.Name, os.Getpid(), l.containers), filepath.Join(l.dir, "runc")
	runc := func(args ...string) *exec.Cmd {
		return exec.Command(l.runc, append([]string{"--root", root}, args...)...)
	}
	cmd := runc("run", "--bundle", bundle, id)
	said, complaints := newListener(img.Ready), &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, complaints
	var err error
	node.Host.Do(t, func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = runc("delete", "--force", id).Run() }() // ends it as well, where the test has failed
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	if img.Ready.Port != 0 {
		go said.ask(ctx, node, img.Ready)
	}
	select {
	case <-said.ready:
	case err := <-ended:
		select {
		case <-said.ready: // it had come to its end at once
			ended <- err
		default:
			t.Fatalf("%s ended before it was ready: %v\n%s\n%s\n%s", img.Ref(), err, said, complaints, l.log())
		}
	case <-ctx.Done():
		_ = runc("delete", "--force", id).Run()
		<-ended
		t.Fatalf("%s is not ready after %s\n%s\n%s\n%s", img.Ref(), startWithin, said, complaints, l.log())
	}
	if img.Ready.Port != 0 {
		if out, err := runc("kill", id, "KILL").CombinedOutput(); err != nil {
			t.Fatalf("runc kill: %v\n%s", err, out)
		}
		<-ended
		return said.at
	}
	if err := <-ended; err != nil {
		t.Fatalf("%s: %v\n%s\n%s", img.Ref(), err, said, complaints)
	}
	return said.at
}

// A listener hears a container say that it is ready.
type listener struct {
	text  string
	ready chan struct{}
	at    time.Time // valid when ready is closed

	mu  sync.Mutex
	out bytes.Buffer
}

func newListener(r images.Ready) *listener {
	l := &listener{ready: make(chan struct{})}
	if r.Port == 0 {
		l.text = r.Text
	}
	return l
}

// Write takes the container's standard output.
func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Write(p)
	if l.text != "" && l.at.IsZero() && bytes.Contains(l.out.Bytes(), []byte(l.text)) {
		l.at = time.Now()
		close(l.ready)
	}
	return len(p), nil
}

func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

// ask asks the container's port until it answers.
func (l *listener) ask(ctx context.Context, node *zone.Node, r images.Ready) {
	transport := node.Transport()
	defer transport.CloseIdleConnections()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for ; ; <-tick.C {
		if body, err := get(ctx, transport, r.Port); err == nil && strings.Contains(body, r.Text) {
			l.at = time.Now()
			close(l.ready)
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func get(ctx context.Context, transport http.RoundTripper, port int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", resp.Status)
	}
	return string(body), nil
}

// edit changes the config.json of a bundle and writes it to another one, or the same.
func edit(t *testing.T, from, to string, change func(spec map[string]any)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	change(spec)
	if text, err = json.Marshal(spec); err == nil {
		err = os.WriteFile(filepath.Join(to, "config.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hostNetwork takes from umoci's bundle the terminal and the network of its own.
func hostNetwork(spec map[string]any) {
	spec["process"].(map[string]any)["terminal"] = false
	linux := spec["linux"].(map[string]any)
	var own []any
	for _, ns := range linux["namespaces"].([]any) {
		if ns.(map[string]any)["type"] != "network" {
			own = append(own, ns)
		}
	}
	linux["namespaces"] = own
}
