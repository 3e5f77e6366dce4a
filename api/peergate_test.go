package api

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// Asks that wait hold blocks. A node that is asked more than it can hold refuses
// at once, with a word that says so, and serves again when some have ended.
func TestAFloodOfAsksIsRefusedAtOnce(t *testing.T) {
	const limit = 3
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var log logs
	var overloads atomic.Int32
	inside, release := make(chan struct{}, 10), make(chan struct{})
	to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		inside <- struct{}{}
		<-release
		return serving(block.Arrived(b.Retain())), nil
	}), PeerServerOptions{MaxInFlight: limit, Logger: slog.New(slog.NewTextHandler(&log, nil)), Refused: func(why Refusal) {
		if why == RefusedOverload {
			overloads.Add(1)
		}
	}})
	p := newPeers(t, PeerClientOptions{Node: "n"})
	var wg sync.WaitGroup
	for range limit {
		wg.Go(func() { fetchBlock(t, p, to, b) })
	}
	for range limit {
		<-inside
	}
	for range 2 {
		a := block.NewArrival(b.ID(), block.DefaultPool)
		_, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a)
		a.Leave()
		if !errors.Is(err, block.ErrOverloaded) || RetryAfter(err) != time.Second {
			t.Errorf("one ask too many: %v, retry after %s", err, RetryAfter(err))
		}
	}
	if n := overloads.Load(); n != 2 || !log.has("too many are in progress") || !log.has("node=n") {
		t.Errorf("%d refusals counted, log: %s", n, log.b.String())
	}
	close(release)
	wg.Wait()
	fetchBlock(t, p, to, b)
}
