package api

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// Once a node is warm, the first ask of a burst to each other node finds a
// connection that stands: it makes none, and no handshake.
func TestTheFirstAskOfABurstMakesNoHandshake(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	server, client := secure(t)
	var accepted, dialled atomic.Int32
	identify := server.Identify
	server.Identify = func(s tls.ConnectionState) (string, error) { accepted.Add(1); return identify(s) }
	config := client.TLS
	client.TLS = func(to placement.Member) *tls.Config { dialled.Add(1); return config(to) }
	gone := listen(t)
	gone.Close()
	nodes := []placement.Member{{Name: "server", Address: gone.Addr().String()}} // one that is away is passed over
	for range 5 {
		nodes = append(nodes, servePeers(t, held(b), server))
	}
	p := newPeers(t, client)
	p.Warm(t.Context(), nodes)
	live := nodes[1:]
	if n := idleConns(p); n != len(live) {
		t.Fatalf("%d connections stand, want %d", n, len(live))
	}
	was := dialled.Load()
	p.Warm(t.Context(), live) // where there is one, none is made
	var wg sync.WaitGroup
	for _, to := range live {
		wg.Go(func() { fetchBlock(t, p, to, b) })
	}
	wg.Wait()
	if dialled.Load() != was || int(accepted.Load()) != len(live) {
		t.Errorf("%d connections were made in the burst, %d handshakes in all, want 0 and %d", dialled.Load()-was, accepted.Load(), len(live))
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p.Forget(live[0].Address)
	p.Warm(ended, live)
	p.Close()
	p.Warm(t.Context(), live) // of a node that shuts down
	if dialled.Load() != was {
		t.Error("a node that ends makes connections")
	}
}
