package api

import (
	"bytes"
	"context"
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
		client.Silence = 800 * time.Millisecond
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
			waitFor(t, "what was sent", func() bool { return a.Have() >= from-5000 || len(done) > 0 })
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
