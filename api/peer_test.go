package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// answers makes a PeerBlocks of a function.
type answers func(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (PeerAnswer, error)

func (f answers) AnswerPeer(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (PeerAnswer, error) {
	return f(ctx, id, ask, queued)
}

// held serves one block as a node that has it in memory does.
func held(b block.Block) answers {
	return func(_ context.Context, id block.ID, _ placement.Ask, _ func() error) (PeerAnswer, error) {
		if id != b.ID() {
			return PeerAnswer{}, fmt.Errorf("held: %w", block.ErrNotFound)
		}
		return serving(block.Arrived(b.Retain())), nil
	}
}

func serving(a *block.Arrival) PeerAnswer {
	return PeerAnswer{From: block.Memory, Source: a, Done: func(int, error) { a.Leave() }, Reply: placement.Reply{Epoch: 7}}
}

// servePeers runs a PeerServer until the test ends and returns it as a member.
func servePeers(tb testing.TB, blocks PeerBlocks, options PeerServerOptions) placement.Member {
	tb.Helper()
	return servePeersAs(tb, PeerServices{Blocks: blocks}, options)
}

func servePeersAs(tb testing.TB, services PeerServices, options PeerServerOptions) placement.Member {
	tb.Helper()
	l := listen(tb)
	s := NewPeerServer(services, options)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-done); err != nil {
			tb.Error(err)
		}
	})
	return placement.Member{Name: "server", Address: l.Addr().String(), Zone: "z"}
}

func newPeers(tb testing.TB, options PeerClientOptions) *Peers {
	tb.Helper()
	if options.Silence == 0 {
		options.Silence = 10 * time.Second // the machine may be busy
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = 10 * time.Second
	}
	p := NewPeers(options)
	tb.Cleanup(func() { p.Close() })
	return p
}

// secure returns both ends' options for mutual TLS.
func secure(tb testing.TB) (PeerServerOptions, PeerClientOptions) {
	ca := newTestCA(tb)
	server, client := ca.config(tb, "server"), ca.config(tb, "client")
	return PeerServerOptions{TLS: server, Identify: func(s tls.ConnectionState) (string, error) { return s.PeerCertificates[0].DNSNames[0], nil }},
		PeerClientOptions{TLS: func(to placement.Member) *tls.Config {
			config := client.Clone()
			config.ServerName = to.Name
			return config
		}}
}

// bothWays runs a test without and with TLS.
func bothWays(t *testing.T, run func(t *testing.T, server PeerServerOptions, client PeerClientOptions)) {
	t.Run("plain", func(t *testing.T) { t.Parallel(); run(t, PeerServerOptions{}, PeerClientOptions{Node: "client"}) })
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		server, client := secure(t)
		client.Node = "somebody else"
		run(t, server, client)
	})
}

// fetchBlock fetches a block into a new arrival and checks its bytes.
func fetchBlock(tb testing.TB, p *Peers, to placement.Member, b block.Block) placement.Reply {
	tb.Helper()
	a := block.NewArrival(b.ID(), block.DefaultPool)
	defer a.Leave()
	reply, err := p.Fetch(context.Background(), to, b.ID(), placement.Ask{}, a)
	if err != nil {
		tb.Fatal(err)
	}
	if reply.Verdict != placement.Serve {
		tb.Fatalf("verdict %s", reply.Verdict)
	}
	got, err := a.Finish(block.Peer)
	if err != nil {
		tb.Fatal(err)
	}
	got.Release()
	return reply
}

func TestPeersFetch(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		for _, size := range []int{0, 1, 4096, 5000, 300_000, block.MaxSize} {
			b := blocktest.Block(1, size)
			defer b.Release()
			to := servePeers(t, held(b), server)
			p := newPeers(t, client)
			for range 3 {
				if reply := fetchBlock(t, p, to, b); reply.Epoch != 7 {
					t.Errorf("reply %+v", reply)
				}
			}
			a := block.NewArrival(block.Sum([]byte("another")), block.DefaultPool)
			_, err := p.Fetch(t.Context(), to, a.ID(), placement.Ask{}, a)
			a.Leave()
			if !errors.Is(err, block.ErrNotFound) || !strings.Contains(err.Error(), "peer server (127.0.0.1:") {
				t.Errorf("another block: %v", err)
			}
		}
	})
}

// Every word of an ask and of a reply crosses the wire, and the name of the
// asker is the certificate's.
func TestPeersSpeakInFull(t *testing.T) {
	want := placement.Ask{Kind: placement.Held, Reader: "client", Epoch: 1 << 63, Hops: 200, Lost: "a b&c", Wrong: true, Alone: true, Stale: "d=e%"}
	call := block.Call{Image: "i", Workload: "w", Tenant: "t", Cause: block.Prefetch}
	replies := []placement.Reply{
		{Verdict: placement.Redirect, To: "node-3", Epoch: 5},
		{Verdict: placement.Gone, Epoch: 6},
		{Verdict: placement.Gone, To: "node-4"},
		{Verdict: placement.Serve, Epoch: 9, Depth: 3, Hot: true},
	}
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		var turn, done atomic.Int32
		b := blocktest.Block(1, 50_000)
		defer b.Release()
		to := servePeers(t, answers(func(ctx context.Context, id block.ID, ask placement.Ask, _ func() error) (PeerAnswer, error) {
			if ask != want || block.CallFrom(ctx) != call || id != b.ID() {
				t.Errorf("ask %+v on behalf of %+v", ask, block.CallFrom(ctx))
			}
			a := PeerAnswer{Reply: replies[turn.Load()]}
			if a.Verdict == placement.Serve {
				a.Source = block.Arrived(b.Retain())
			}
			a.Done = func(sent int, err error) {
				if want := 50_000; err != nil || a.Source != nil && sent != want {
					t.Errorf("done: %d bytes sent, %v", sent, err)
				}
				if a.Source != nil {
					a.Source.Leave()
				}
				done.Add(1)
			}
			return a, nil
		}), server)
		p := newPeers(t, client)
		for i, want := range replies {
			turn.Store(int32(i))
			ask := placement.Ask{Kind: placement.Held, Epoch: 1 << 63, Hops: 200, Lost: "a b&c", Wrong: true, Alone: true, Stale: "d=e%"}
			a := block.NewArrival(b.ID(), block.DefaultPool)
			reply, err := p.Fetch(block.WithCall(t.Context(), call), to, b.ID(), ask, a)
			a.Leave()
			if err != nil || reply != want {
				t.Errorf("reply %+v, %v: want %+v", reply, err, want)
			}
		}
		waitFor(t, "Done", func() bool { return done.Load() == int32(len(replies)) })
	})
}

// An offer carries no bytes.
func TestPeersOffer(t *testing.T) {
	to := servePeers(t, answers(func(_ context.Context, _ block.ID, ask placement.Ask, _ func() error) (PeerAnswer, error) {
		if ask.Kind != placement.Offer {
			t.Errorf("kind %s", ask.Kind)
		}
		return PeerAnswer{Reply: placement.Reply{Epoch: 2}}, nil
	}), PeerServerOptions{})
	p := newPeers(t, PeerClientOptions{})
	for range 2 {
		reply, err := p.Fetch(t.Context(), to, block.Sum(nil), placement.Ask{Kind: placement.Offer}, nil)
		if err != nil || reply != (placement.Reply{Epoch: 2}) {
			t.Errorf("%+v, %v", reply, err)
		}
	}
	if n := idleConns(p); n != 1 {
		t.Errorf("%d idle connections, want 1", n)
	}
}

func idleConns(p *Peers) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pool := range p.pools {
		pool.mu.Lock()
		n += len(pool.idle)
		pool.mu.Unlock()
	}
	return n
}

// Connections are kept, taken up again after the other side closed them, and
// forgotten when told; new ones resume the TLS session.
func TestPeersKeepConnections(t *testing.T) {
	b := blocktest.Block(1, 20_000)
	defer b.Release()
	server, client := secure(t)
	var conns, resumed atomic.Int32
	identify := server.Identify
	server.Identify = func(s tls.ConnectionState) (string, error) {
		conns.Add(1)
		if s.DidResume {
			resumed.Add(1)
		}
		return identify(s)
	}
	to := servePeers(t, held(b), server)
	p := newPeers(t, client)
	for range 5 {
		fetchBlock(t, p, to, b)
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections for asks in turn", conns.Load())
	}
	p.mu.Lock()
	pool := p.pools[to.Address]
	p.mu.Unlock()
	for _, c := range pool.idle {
		c.raw.Close()
	}
	fetchBlock(t, p, to, b)
	if conns.Load() != 2 || resumed.Load() != 1 {
		t.Errorf("%d connections, %d resumed, want 2 and 1", conns.Load(), resumed.Load())
	}
	p.Forget(to.Address)
	if n := idleConns(p); n != 0 {
		t.Errorf("%d connections are left of a forgotten node", n)
	}
	fetchBlock(t, p, to, b)
	if conns.Load() != 3 || resumed.Load() != 1 {
		t.Errorf("%d connections, %d resumed, want 3 and 1", conns.Load(), resumed.Load())
	}
	other := to
	other.Name = "another node at the same address"
	a := block.NewArrival(b.ID(), block.DefaultPool)
	defer a.Leave()
	if _, err := p.Fetch(t.Context(), other, b.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another name: %v", err)
	}
	p.Close()
	if _, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

// What is kept for later is bounded for a node, for all nodes, and in time.
func TestPeersKeepFewConnections(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	for name, tt := range map[string]struct {
		options PeerClientOptions
		kept    int
	}{
		"of one node":  {PeerClientOptions{MaxIdlePerPeer: 2}, 4},
		"of all nodes": {PeerClientOptions{MaxIdle: 3}, 4}, // one more for the second node
		"one of each":  {PeerClientOptions{MaxIdle: 1}, 2},
		"young":        {PeerClientOptions{MaxAge: time.Nanosecond}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			const together = 5
			p := newPeers(t, tt.options)
			for range 2 { // nodes
				var arrived, done sync.WaitGroup
				arrived.Add(together)
				to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
					arrived.Done()
					arrived.Wait()
					return serving(block.Arrived(b.Retain())), nil
				}), PeerServerOptions{})
				for range together {
					done.Go(func() { fetchBlock(t, p, to, b) })
				}
				done.Wait()
			}
			if n := idleConns(p); n != tt.kept || int64(n) != p.idle.Load() {
				t.Errorf("%d connections are kept, counted as %d: want %d", n, p.idle.Load(), tt.kept)
			}
		})
	}
}

func TestPeersCloseOldConnections(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	one, two := servePeers(t, held(b), PeerServerOptions{}), servePeers(t, held(b), PeerServerOptions{})
	p := newPeers(t, PeerClientOptions{})
	fetchBlock(t, p, one, b)
	fetchBlock(t, p, two, b)
	p.mu.Lock()
	p.swept = time.Now().Add(-2 * sweepGap)
	p.pools[one.Address].idle[0].used = time.Now().Add(-time.Hour)
	p.mu.Unlock()
	fetchBlock(t, p, two, b)
	if n := idleConns(p); n != 1 || p.idle.Load() != 1 {
		t.Errorf("%d connections are kept, want that of the node in use", n)
	}
}
