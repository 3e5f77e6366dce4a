package api

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/placement"
)

// TestProvePeerRate measures blocks that one node has in memory on their way to
// another, with and without TLS, beside the same exchanges over a bare TCP
// connection and over crypto/tls.
func TestProvePeerRate(t *testing.T) {
	const size = 512 << 10
	b := blocktest.Block(1, size)
	defer b.Release()
	server, client := secure(t)
	rates := rate.Compare(t, []rate.Side{
		peerSide(t, "peer", b, PeerServerOptions{}, PeerClientOptions{}), tcpSide(t, b),
		peerSide(t, "peer-tls", b, server, client), tlsSide(t, b),
	})
	figure.Report(t, "peer.raw_plain_vs_tcp", rate.Ratio(rates, "peer", "tcp"), "x")
	figure.Report(t, "peer.raw_plain_gbps", rate.Median(rates["peer"])/1e9, "GB/s")
	figure.Report(t, "peer.raw_tls_gbps", rate.Median(rates["peer-tls"])/1e9, "GB/s")
	figure.Report(t, "peer.raw_tls_vs_tls", rate.Ratio(rates, "peer-tls", "tls"), "x")
}

// TestProvePeerCost measures the processor's time for the same, which a busy
// machine disturbs less than rates. It is both ends'.
func TestProvePeerCost(t *testing.T) {
	if figure.Instrumented {
		t.Skip("costs mean nothing in a build that checks itself")
	}
	b := blocktest.Block(1, 512<<10)
	defer b.Release()
	rounds, span := 3, 50*time.Millisecond
	if figure.Full() {
		rounds, span = 15, 300*time.Millisecond
	}
	server, client := secure(t)
	costs := processorTimes(t, []rate.Side{
		peerSide(t, "peer", b, PeerServerOptions{}, PeerClientOptions{}), tcpSide(t, b),
		peerSide(t, "peer-tls", b, server, client), tlsSide(t, b),
	}, rounds, span)
	figure.Report(t, "peer.raw_plain_cpu_vs_tcp", rate.Ratio(costs, "peer", "tcp"), "x")
	figure.Report(t, "peer.raw_plain_cpu", rate.Median(costs["peer"]), "s/GB")
	figure.Report(t, "peer.raw_tls_cpu_vs_tls", rate.Ratio(costs, "peer-tls", "tls"), "x")
	figure.Report(t, "peer.raw_tls_cpu", rate.Median(costs["peer-tls"]), "s/GB")
}

// peerSide fetches b as a node does, but for the digest, which is the reader's.
func peerSide(tb testing.TB, name string, b block.Block, server PeerServerOptions, client PeerClientOptions) rate.Side {
	to := servePeers(tb, held(b), server)
	p := newPeers(tb, client)
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	return rate.Side{Name: name, Size: b.Len(), Open: func(testing.TB) func() error {
		return func() error {
			a := block.NewArrival(b.ID(), block.DefaultPool)
			defer a.Leave()
			_, err := p.Fetch(ctx, to, b.ID(), placement.Ask{}, a)
			return err
		}
	}}
}

// tlsSide writes and reads the bytes over crypto/tls with nothing around it.
func tlsSide(tb testing.TB, b block.Block) rate.Side {
	ca := newTestCA(tb)
	l := listen(tb)
	config := ca.config(tb, "server")
	config.DynamicRecordSizingDisabled = true
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				c := tls.Server(raw, config)
				defer c.Close()
				var request [16]byte
				for {
					if _, err := io.ReadFull(c, request[:]); err != nil {
						return
					}
					if _, err := c.Write(b.Bytes()); err != nil {
						return
					}
				}
			}()
		}
	}()
	client := ca.config(tb, "client")
	client.ServerName = "server"
	return rate.Side{Name: "tls", Size: b.Len(), Open: func(tb testing.TB) func() error {
		c := dialTLS(tb, l.Addr().String(), client)
		buf := make([]byte, b.Len())
		var request [16]byte
		return func() error {
			if _, err := c.Write(request[:]); err != nil {
				return err
			}
			_, err := io.ReadFull(c, buf)
			return err
		}
	}}
}

// TestProvePeerAllocations counts what both ends allocate for a block, which
// must not depend on its size.
func TestProvePeerAllocations(t *testing.T) {
	if figure.Instrumented {
		t.Skip("allocations mean nothing in a build that checks itself")
	}
	server, client := secure(t)
	for name, tt := range map[string]struct {
		server PeerServerOptions
		client PeerClientOptions
		limit  float64
	}{
		"plain": {PeerServerOptions{}, PeerClientOptions{}, 24},
		"tls":   {server, client, 64},
	} {
		b := blocktest.Block(1, 512<<10)
		allocs, bytes := allocations(t, 300, peerSide(t, "peer", b, tt.server, tt.client).Open(t))
		b.Release()
		figure.Report(t, "peer.raw_"+name+"_allocs", allocs, "allocs/op")
		if allocs > tt.limit || bytes > 64<<10 {
			t.Errorf("%s: %.1f allocations of %.0f bytes a block, want at most %.0f", name, allocs, bytes, tt.limit)
		}
		t.Logf("%s: %.0f bytes", name, bytes)
	}
}
