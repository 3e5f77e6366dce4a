package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	t.Run("plain", func(t *testing.T) { run(t, PeerServerOptions{}, PeerClientOptions{Node: "client"}) })
	t.Run("tls", func(t *testing.T) {
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
	want := placement.Ask{Kind: placement.Held, Reader: "client", Epoch: 1 << 63, Hops: 200, Lost: "a b&c", Stale: "d=e%"}
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
			ask := placement.Ask{Kind: placement.Held, Epoch: 1 << 63, Hops: 200, Lost: "a b&c", Stale: "d=e%"}
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

// Bytes go on while the block still arrives: the reader at the end of a chain
// of three has the first bytes before the last are known to anybody.
func TestPeersCutThrough(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		p := newPeers(t, client)
		content := blocktest.Bytes(1, 500_000)
		id := block.Sum(content)
		source := block.NewArrival(id, block.DefaultPool)
		defer source.Leave()
		upstream := source
		const depth = 3
		var wg sync.WaitGroup
		for i := range depth {
			from := upstream
			to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
				a := serving(from.Join())
				a.Depth = uint8(i + 1)
				return a, nil
			}), server)
			a := block.NewArrival(id, block.DefaultPool)
			defer a.Leave()
			wg.Go(func() {
				reply, err := p.Fetch(t.Context(), to, id, placement.Ask{}, a)
				if err != nil || int(reply.Depth) != i+1 {
					t.Errorf("hop %d: %+v, %v", i, reply, err)
					a.Fail(errors.New("the fetch failed"))
					return
				}
				b, err := a.Finish(block.Peer)
				if err != nil {
					t.Error(err)
				}
				b.Release()
			})
			upstream = a
		}
		if err := source.Begin(len(content)); err != nil {
			t.Fatal(err)
		}
		for have := 0; have < len(content); have = source.Have() {
			source.Advance(copy(source.Space(), content[have:min(have+100_000, len(content))]))
			for got, want := 0, min(source.Have(), len(content)-4096); got < want; {
				q, err := upstream.Next(t.Context(), got)
				if err != nil || !bytes.Equal(q, content[got:got+len(q)]) {
					t.Fatalf("at %d of %d: %d bytes, %v", got, want, len(q), err)
				}
				got += len(q)
			}
		}
		if upstream.Ended() || upstream.Have() > len(content)-4096 {
			t.Errorf("the last bytes went on before they were verified: %d of %d", upstream.Have(), len(content))
		}
		b, err := source.Finish(block.Origin)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		wg.Wait()
	})
}

// Who waits is told so, which is no silence; and who is told nothing stalls.
func TestPeersWait(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		b := blocktest.Block(1, 50_000)
		defer b.Release()
		silent := make(chan struct{})
		to := servePeers(t, answers(func(ctx context.Context, _ block.ID, ask placement.Ask, queued func() error) (PeerAnswer, error) {
			if ask.Hops == 1 {
				<-ctx.Done()
				close(silent)
				return PeerAnswer{}, ctx.Err()
			}
			for range 12 {
				<-time.After(50 * time.Millisecond)
				if err := queued(); err != nil {
					return PeerAnswer{}, err
				}
			}
			return serving(block.Arrived(b.Retain())), nil
		}), server)
		client.Silence = 400 * time.Millisecond // it waits for longer
		p := newPeers(t, client)
		a := block.NewArrival(b.ID(), block.DefaultPool)
		defer a.Leave()
		if _, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a); err != nil {
			t.Fatal(err)
		}
		if _, waits := a.Heard(); waits != 12 {
			t.Errorf("told to wait %d times, want 12", waits)
		}
		another := block.NewArrival(b.ID(), block.DefaultPool)
		defer another.Leave()
		_, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{Hops: 1}, another)
		if !errors.Is(err, placement.ErrStalled) || !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("a silent peer: %v", err)
		}
		<-silent // the peer notices that the asker has gone
	})
}

// The bytes at the offset of a resumed ask may not be there yet: the server
// itself says that they are waited for.
func TestPeersWaitForTheFirstByte(t *testing.T) {
	content := blocktest.Bytes(1, 50_000)
	source := block.NewArrival(block.Sum(content), block.DefaultPool)
	defer source.Leave()
	to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		return serving(source.Join()), nil
	}), PeerServerOptions{})
	p := newPeers(t, PeerClientOptions{Silence: 2 * time.Second})
	a := block.NewArrival(source.ID(), block.DefaultPool)
	defer a.Leave()
	if err := a.Begin(len(content)); err != nil {
		t.Fatal(err)
	}
	a.Advance(copy(a.Space(), content[:20_000]))
	done := make(chan error, 1)
	go func() {
		_, err := p.Fetch(t.Context(), to, a.ID(), placement.Ask{}, a)
		done <- err
	}()
	waitFor(t, "two interim answers", func() bool { _, waits := a.Heard(); return waits >= 2 })
	if err := source.Begin(len(content)); err != nil {
		t.Fatal(err)
	}
	source.Advance(copy(source.Space(), content))
	b, err := source.Finish(block.Origin)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b, err = a.Finish(block.Peer); err != nil {
		t.Fatal(err)
	}
	b.Release()
}

// A transfer that breaks off is resumed elsewhere, from where it stopped.
func TestPeersResume(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		b := blocktest.Block(1, 400_000)
		defer b.Release()
		source := block.NewArrival(b.ID(), block.DefaultPool)
		defer source.Leave()
		results := make(chan error, 1)
		first := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
			own := source.Join()
			return PeerAnswer{Source: own, Done: func(sent int, err error) {
				own.Leave()
				if err != nil && sent != 200_000 {
					err = fmt.Errorf("%d bytes sent: %w", sent, err)
				}
				results <- err
			}}, nil
		}), server)
		if err := source.Begin(b.Len()); err != nil {
			t.Fatal(err)
		}
		source.Advance(copy(source.Space(), b.Bytes()[:200_000]))
		p := newPeers(t, client)
		a := block.NewArrival(b.ID(), block.DefaultPool)
		defer a.Leave()
		done := make(chan error, 1)
		go func() {
			_, err := p.Fetch(t.Context(), first, b.ID(), placement.Ask{}, a)
			done <- err
		}()
		waitFor(t, "half of the block", func() bool { return a.Have() > 200_000-passOn })
		broken := errors.New("the source's source broke")
		source.Fail(broken)
		if err := <-done; !errors.Is(err, block.ErrUnavailable) || errors.Is(err, placement.ErrStalled) || !strings.Contains(err.Error(), "200000 of 400000") {
			t.Errorf("broken transfer: %v", err)
		}
		if err := <-results; !errors.Is(err, broken) {
			t.Errorf("done: %v", err)
		}
		var offset atomic.Int64
		second := servePeers(t, answers(func(_ context.Context, _ block.ID, ask placement.Ask, _ func() error) (PeerAnswer, error) {
			offset.Store(int64(ask.Offset))
			return serving(block.Arrived(b.Retain())), nil
		}), server)
		if _, err := p.Fetch(t.Context(), second, b.ID(), placement.Ask{}, a); err != nil || offset.Load() != 200_000 {
			t.Fatalf("resumed from %d: %v", offset.Load(), err)
		}
		got, err := a.Finish(block.Peer)
		if err != nil {
			t.Fatal(err)
		}
		got.Release()
	})
}

// A body that stops coming, or comes byte by byte, is a stall.
func TestPeersStallInTheBody(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		content := blocktest.Bytes(1, 400_000)
		source := block.NewArrival(block.Sum(content), block.DefaultPool)
		defer source.Leave()
		if err := source.Begin(len(content)); err != nil {
			t.Fatal(err)
		}
		source.Advance(copy(source.Space(), content[:100_000]))
		left := make(chan error, 1)
		to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
			own := source.Join()
			return PeerAnswer{Reply: placement.Reply{Depth: 2}, Source: own, Done: func(_ int, err error) { own.Leave(); left <- err }}, nil
		}), server)
		client.Silence, client.SilencePerHop = 300*time.Millisecond, 20*time.Millisecond
		p := newPeers(t, client)
		a := block.NewArrival(source.ID(), block.DefaultPool)
		defer a.Leave()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					source.Advance(copy(source.Space(), content[source.Have():source.Have()+1]))
				}
			}
		})
		_, err := p.Fetch(t.Context(), to, source.ID(), placement.Ask{}, a)
		close(stop)
		wg.Wait()
		if !errors.Is(err, placement.ErrStalled) || !errors.Is(err, block.ErrUnavailable) || !strings.Contains(err.Error(), "340ms") {
			t.Errorf("stalled: %v", err)
		}
		if a.Have() < 100_000 {
			t.Errorf("%d bytes came", a.Have())
		}
		if err := <-left; err == nil {
			t.Error("the source knows nothing of it")
		}
	})
}

// A network so slow that less comes than a wake-up takes is no silence.
func TestPeersOverASlowNetwork(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		content := blocktest.Bytes(1, 180_000)
		source := block.NewArrival(block.Sum(content), block.DefaultPool)
		defer source.Leave()
		to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
			return serving(source.Join()), nil
		}), server)
		client.Silence = 400 * time.Millisecond
		p := newPeers(t, client)
		a := block.NewArrival(source.ID(), block.DefaultPool)
		defer a.Leave()
		done := make(chan error, 1)
		go func() {
			_, err := p.Fetch(t.Context(), to, source.ID(), placement.Ask{}, a)
			done <- err
		}()
		if err := source.Begin(len(content)); err != nil {
			t.Fatal(err)
		}
		source.Advance(copy(source.Space(), content[:9000]))
		for source.Have() < 60_000 { // 6 KB at a time, with nothing between
			from := source.Have()
			waitFor(t, "what was sent", func() bool { return a.Have() >= from-5000 })
			source.Advance(copy(source.Space(), content[from:from+6000]))
		}
		source.Advance(copy(source.Space(), content[source.Have():]))
		b, err := source.Finish(block.Origin)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if b, err = a.Finish(block.Peer); err != nil {
			t.Fatal(err)
		}
		b.Release()
	})
}

func TestPeersCancel(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		started, ended := make(chan struct{}, 2), make(chan error, 2)
		to := servePeers(t, answers(func(ctx context.Context, _ block.ID, _ placement.Ask, queued func() error) (PeerAnswer, error) {
			started <- struct{}{}
			<-ctx.Done()
			ended <- queued()
			return PeerAnswer{}, ctx.Err()
		}), server)
		p := newPeers(t, client)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-started; cancel() }()
		a := block.NewArrival(block.Sum(nil), block.DefaultPool)
		defer a.Leave()
		if _, err := p.Fetch(ctx, to, a.ID(), placement.Ask{}, a); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("queued: %v", err)
		}
		if n := idleConns(p); n != 0 {
			t.Errorf("%d connections kept", n)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := p.Fetch(ctx, to, a.ID(), placement.Ask{}, a); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("timed out: %v", err)
		}
		<-ended
	})
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

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

func TestPeersOfAnotherZone(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var log logs
	var refused atomic.Int32
	count := func(why Refusal) {
		if why == RefusedZone {
			refused.Add(1)
		}
	}
	to := servePeers(t, held(b), PeerServerOptions{Zone: "here", Refused: count, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a := block.NewArrival(b.ID(), block.DefaultPool)
	defer a.Leave()
	_, err := newPeers(t, PeerClientOptions{Zone: "there", Node: "n"}).Fetch(t.Context(), to, b.ID(), placement.Ask{}, a)
	if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrDenied) || !strings.Contains(err.Error(), `"here"`) {
		t.Errorf("another zone: %v", err)
	}
	if !log.has("zone=there") || !log.has("own_zone=here") || refused.Load() != 1 || !log.has("node=n") {
		t.Errorf("log: %s", log.b.String())
	}
	fetchBlock(t, newPeers(t, PeerClientOptions{Zone: "here"}), to, b)
}

// Without a certificate of the zone that names a node a peer gets nothing.
func TestPeersWithoutACertificate(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	ca := newTestCA(t)
	var log logs
	to := servePeers(t, held(b), PeerServerOptions{
		TLS: ca.config(t, "server"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Identify: func(s tls.ConnectionState) (string, error) {
			if name := s.PeerCertificates[0].DNSNames[0]; name != "client" {
				return "", fmt.Errorf("certificate of %s, which is no node", name)
			}
			return "client", nil
		},
	})
	config := func(c *tls.Config) func(placement.Member) *tls.Config {
		c.RootCAs, c.ServerName = ca.pool, "server"
		return func(placement.Member) *tls.Config { return c }
	}
	for name, tt := range map[string]func(placement.Member) *tls.Config{
		"plain text":     nil,
		"no certificate": config(&tls.Config{}),
		"another CA's":   config(newTestCA(t).config(t, "client")),
		"no node's":      config(ca.config(t, "agent")),
		"expired":        config(&tls.Config{Certificates: []tls.Certificate{ca.node(t, "client", time.Now().Add(-time.Hour))}}),
		"HTTP/2 only":    nil,
	} {
		a := block.NewArrival(b.ID(), block.DefaultPool)
		_, err := newPeers(t, PeerClientOptions{TLS: tt}).Fetch(t.Context(), to, b.ID(), placement.Ask{}, a)
		if !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if a.Have() != 0 || a.Size() >= 0 {
			t.Errorf("%s: it got %d bytes", name, a.Have())
		}
		a.Leave()
	}
	waitFor(t, "a log line", func() bool { return log.has("TLS handshake failed") || log.has("a peer was refused") })
	fetchBlock(t, newPeers(t, PeerClientOptions{TLS: config(ca.config(t, "client"))}), to, b)
}

// Everything else on the port is an http.Handler's, which learns who asks.
func TestPeersOther(t *testing.T) {
	server, _ := secure(t)
	ca := newTestCA(t)
	server.TLS = ca.config(t, "server")
	to := servePeersAs(t, PeerServices{Other: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s asks for %s", PeerName(r.Context()), r.URL.Path)
	})}, server)
	config := ca.config(t, "client")
	config.ServerName = "server"
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer hc.CloseIdleConnections()
	for range 2 {
		resp := get(t, hc, "GET", "https://"+to.Address+"/tree")
		if string(resp.body) != "client asks for /tree" || resp.Proto != "HTTP/1.1" {
			t.Errorf("%s %s", resp.Proto, resp.body)
		}
	}
	resp := get(t, hc, "GET", "https://"+to.Address+readBlockPath+"?encoding=raw&id=x", "Connection: close")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unusual ask: %s", resp.Status)
	}
	bare := servePeersAs(t, PeerServices{}, PeerServerOptions{})
	if resp := get(t, plainClient(t), "GET", "http://"+bare.Address+"/"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("nothing else: %s", resp.Status)
	}
}

func TestPeersDrain(t *testing.T) {
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	started, release := make(chan struct{}), make(chan struct{})
	l := listen(t)
	s := NewPeerServer(PeerServices{Blocks: answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		close(started)
		<-release
		return serving(block.Arrived(b.Retain())), nil
	})}, PeerServerOptions{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	to := placement.Member{Name: "server", Address: l.Addr().String()}
	p := newPeers(t, PeerClientOptions{})
	var wg sync.WaitGroup
	wg.Go(func() { fetchBlock(t, p, to, b) })
	<-started
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	waitFor(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", to.Address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	wg.Wait()
	if err := errors.Join(<-down, <-served); err != nil {
		t.Error(err)
	}
	a := block.NewArrival(b.ID(), block.DefaultPool)
	defer a.Leave()
	if _, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("after the drain: %v", err)
	}
}

// One host cannot take all the places of a server.
func TestPeerPlaces(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var log logs
	to := servePeers(t, held(b), PeerServerOptions{MaxPerAddress: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	one, two := dial(t, to.Address), dial(t, to.Address)
	io.WriteString(two, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n") // is net/http's now, and counts all the same
	two.Read(make([]byte, 1))
	three := dial(t, to.Address)
	if _, err := three.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection was served")
	}
	if !log.has("too many") {
		t.Errorf("log: %s", log.b.String())
	}
	one.Close()
	two.Close()
	p := newPeers(t, PeerClientOptions{})
	waitFor(t, "a place", func() bool {
		a := block.NewArrival(b.ID(), block.DefaultPool)
		defer a.Leave()
		_, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a)
		return err == nil
	})
}
