package agent

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
)

// A read that meets a daemon which restarts waits for it.
func TestADaemonThatRestartsIsWaitedFor(t *testing.T) {
	s := newStore(t, 8, 1000)
	d := startDaemon(t, s)
	img := openTest(t, Options{Daemon: d.client, Ahead: -1, Grace: time.Minute, Logger: testLogger(t)})
	check(t, img, s, 0, 100)
	d.stop()
	var wg sync.WaitGroup
	for i := 1; i < 8; i++ {
		wg.Go(func() { check(t, img, s, 1000*i, 1000) })
	}
	d.start()
	wg.Wait()
}

// While the daemon stays away blocks come from the origin, and from the daemon
// again when it is back.
func TestADaemonThatStaysAwayIsLeftOut(t *testing.T) {
	s, behind := newStore(t, 40, 1000), newStore(t, 40, 1000)
	d := startDaemon(t, behind)
	img := openTest(t, Options{Daemon: d.client, Origin: s, Grace: 50 * time.Millisecond, Logger: testLogger(t)})
	check(t, img, s, 0, 100)
	if n := s.reads.Load(); n != 0 {
		t.Errorf("%d reads of the origin while the daemon was there", n)
	}
	d.stop()
	for i := 10; i < 20; i++ {
		check(t, img, s, 1000*i, 10)
	}
	if n := s.reads.Load(); n == 0 || n > 10 {
		t.Errorf("%d reads of the origin for 10 blocks", n)
	}
	d.start()
	for deadline := time.Now().Add(20 * time.Second); ; {
		before := behind.reads.Load()
		img.window.mu.Lock()
		img.window.pieces.Purge()
		img.window.mu.Unlock()
		check(t, img, s, 30_000, 10)
		if behind.reads.Load() > before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon is not asked any more")
		}
	}
}

// A daemon that accepts and then says nothing is left out as well.
func TestADaemonThatHangs(t *testing.T) {
	s := newStore(t, 4, 1000)
	d := startDaemon(t, s)
	img := openTest(t, Options{Daemon: d.client, Origin: s, Ahead: -1, Grace: 50 * time.Millisecond, Logger: testLogger(t)})
	d.stop()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	check(t, img, s, 1000, 1000)
	began := time.Now()
	check(t, img, s, 2000, 1000)
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("a later read took %s: the daemon was asked again", took)
	}
}

func TestOpenWithoutTheDaemon(t *testing.T) {
	s := newStore(t, 4, 1000)
	d := startDaemon(t, s)
	d.stop()
	for _, name := range []string{"img", s.id.String()} {
		img := openTest(t, Options{Image: name, Daemon: d.client, Origin: s, Grace: time.Millisecond, Logger: testLogger(t)})
		check(t, img, s, 500, 2000)
	}
	alone := openTest(t, Options{Origin: s})
	check(t, alone, s, 0, 4000)
	if _, err := Open(t.Context(), Options{Image: "other", Origin: s}); !errors.Is(err, block.ErrNotFound) {
		t.Errorf("an image that does not exist: %v", err)
	}
}

// Where nobody can serve a block, the read ends with the deadline and names it.
func TestNobodyCanServe(t *testing.T) {
	s := newStore(t, 4, 1000)
	d := startDaemon(t, s)
	const deadline = 300 * time.Millisecond
	img := openTest(t, Options{Daemon: d.client, Origin: s, Ahead: -1, Grace: 50 * time.Millisecond, Deadline: deadline, Logger: testLogger(t)})
	d.stop()
	s.set(func() { s.fail = block.ErrUnavailable })
	_, err := img.ReadAt(make([]byte, 10), 1000)
	if id := s.manifest.Blocks[1].ID; !errors.Is(err, block.ErrUnavailable) || !strings.Contains(err.Error(), id.String()) {
		t.Errorf("got %v, want that %s is unavailable", err, id)
	}
	s.set(func() { s.fail = nil })
	<-time.After(deadline / doubted) // then it is patient again
	check(t, img, s, 1000, 10)

	s.set(func() { delete(s.blocks, s.manifest.Blocks[2].ID) })
	if _, err := img.ReadAt(make([]byte, 10), 2000); !errors.Is(err, block.ErrNotFound) {
		t.Errorf("a block that was removed: %v", err)
	}
	s.set(func() { s.blocks[s.manifest.Blocks[3].ID][5] ^= 1 })
	if _, err := img.ReadAt(make([]byte, 10), 3000); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("a block that is damaged: %v", err)
	}
}

// Bytes of the daemon that are wrong come from the origin.
func TestADaemonThatServesWrongBytes(t *testing.T) {
	s, wrong := newStore(t, 3, 1000), newStore(t, 3, 1000)
	for _, p := range wrong.blocks {
		p[7] ^= 1
	}
	img := openTest(t, Options{Daemon: startDaemon(t, wrong).client, Origin: s, Ahead: -1})
	check(t, img, s, 0, 3000)
}

// The daemon's origin is away and this one is not.
func TestADaemonWithoutItsOrigin(t *testing.T) {
	s, behind := newStore(t, 3, 1000), newStore(t, 3, 1000)
	behind.fail = block.ErrUnavailable
	img := openTest(t, Options{Daemon: startDaemon(t, behind).client, Origin: s, Ahead: -1})
	check(t, img, s, 0, 3000)
}

func TestAReaderThatLeaves(t *testing.T) {
	s := newStore(t, 1, 1000)
	d := startDaemon(t, s)
	img := openTest(t, Options{Daemon: d.client, Deadline: 200 * time.Millisecond})
	d.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := img.ReadAtContext(ctx, make([]byte, 10), 0); !errors.Is(err, context.Canceled) || api.Answered(err) {
		t.Errorf("got %v", err)
	}
}
