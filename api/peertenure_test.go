package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// A movedClock is ahead of the real one.
type movedClock struct{ by atomic.Int64 }

func (c *movedClock) now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

func (c *movedClock) advance(d time.Duration) { c.by.Add(int64(d)) }

// firmly returns both ends' options for mutual TLS, with certificates of a day,
// without resumption, and the number of handshakes.
func firmly(tb testing.TB, ca *testCA, clock *movedClock) (PeerServerOptions, PeerClientOptions, *atomic.Int32) {
	tb.Helper()
	server, client := ca.config(tb, "server"), ca.config(tb, "client")
	client.Certificates = []tls.Certificate{ca.node(tb, "client", time.Now().Add(24*time.Hour))}
	server.SessionTicketsDisabled = true
	client.ServerName = "server"
	handshakes := &atomic.Int32{}
	return PeerServerOptions{TLS: server, MaxAge: time.Hour, now: clock.now, Identify: func(s tls.ConnectionState) (string, error) {
			handshakes.Add(1)
			return s.PeerCertificates[0].DNSNames[0], nil
		}},
		PeerClientOptions{TLS: func(placement.Member) *tls.Config { return client }}, handshakes
}

// A connection stands as long as both ends like; the certificate it was made with
// ends all the same, and then the peer gets nothing.
func TestAnExpiredCertificateEndsStandingConnections(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var clock movedClock
	server, client, _ := firmly(t, newTestCA(t), &clock)
	server.MaxAge = 100 * time.Hour
	g := &grove{}
	to := servePeersAs(t, PeerServices{Blocks: held(b), Other: NewPeerHandler(g, PeerHandlerOptions{})}, server)
	p, trees := newPeers(t, client), newTrees(t, client)
	fetchBlock(t, p, to, b)
	if _, err := trees.JoinTree(t.Context(), to, "i", ""); err != nil {
		t.Fatal(err)
	}
	idle := dialTLS(t, to.Address, client.TLS(to))
	ask := fmt.Sprintf("GET %s?encoding=raw&id=%s HTTP/1.1\r\nHost: x\r\n\r\n", readBlockPath, b.ID())
	if _, err := io.WriteString(idle, ask); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAtLeast(idle, make([]byte, 2000), 1000); err != nil {
		t.Fatal(err)
	}

	clock.advance(25 * time.Hour)
	idle.SetReadDeadline(time.Now().Add(10 * time.Second))
	if rest, err := io.ReadAll(idle); errors.As(err, new(interface{ Timeout() bool })) || len(rest) > 1000 {
		t.Errorf("%d more bytes, %v: the connection outlives its certificate", len(rest), err)
	}
	heard := g.heard()
	if _, err := trees.JoinTree(t.Context(), to, "i", ""); !errors.Is(err, block.ErrUnavailable) || g.heard() != heard {
		t.Errorf("a seat after the certificate's end: %v, heard %s", err, g.heard())
	}
	for range 2 { // on the standing connection, and on a new one
		a := block.NewArrival(b.ID(), block.DefaultPool)
		if _, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) || a.Have() > 0 {
			t.Errorf("a block after the certificate's end: %d bytes, %v", a.Have(), err)
		}
		a.Leave()
	}
}

// An ask that waits beyond the end of its certificate gets no byte.
func TestACertificateThatExpiresWhileItsAskWaitsGetsNothing(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var clock movedClock
	server, client, _ := firmly(t, newTestCA(t), &clock)
	server.MaxAge = 100 * time.Hour
	var done atomic.Int32
	to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		clock.advance(25 * time.Hour)
		a := block.Arrived(b.Retain())
		return PeerAnswer{Source: a, Done: func(sent int, err error) {
			if a.Leave(); sent != 0 || err == nil {
				t.Errorf("%d bytes sent, %v", sent, err)
			}
			done.Add(1)
		}}, nil
	}), server)
	a := block.NewArrival(b.ID(), block.DefaultPool)
	defer a.Leave()
	if _, err := newPeers(t, client).Fetch(t.Context(), to, b.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) || a.Have() > 0 {
		t.Errorf("%d bytes, %v", a.Have(), err)
	}
	waitFor(t, "Done", func() bool { return done.Load() == 1 })
}

// A CA that was taken out vouches for nobody any more: connections made before
// end within MaxAge, and no read of a peer with a good certificate fails by that.
func TestConnectionsEndWithinTheirAgeThoughTheirCAIsGone(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var clock movedClock
	former, later := newTestCA(t), newTestCA(t)
	server, client, handshakes := firmly(t, former, &clock)
	_, good, _ := firmly(t, later, &clock)
	trusted := server.TLS.Clone()
	trusted.ClientCAs = former.pool.Clone()
	trusted.ClientCAs.AddCert(later.cert)
	var config atomic.Pointer[tls.Config]
	config.Store(trusted)
	server.TLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return config.Load(), nil }
	g := &grove{}
	to := servePeersAs(t, PeerServices{Blocks: held(b), Other: NewPeerHandler(g, PeerHandlerOptions{})}, server)
	p, trees := newPeers(t, client), newTrees(t, client)
	goodConfig := good.TLS(to)
	goodConfig.RootCAs = former.pool // the server's certificate is still of that one
	other := newPeers(t, good)
	fetchBlock(t, p, to, b)
	fetchBlock(t, other, to, b)
	if _, err := trees.JoinTree(t.Context(), to, "i", ""); err != nil {
		t.Fatal(err)
	}

	only := trusted.Clone()
	only.ClientCAs = later.pool
	config.Store(only)
	clock.advance(time.Hour + 8*time.Minute) // MaxAge and an eighth
	was := handshakes.Load()
	fetchBlock(t, other, to, b)
	if n := handshakes.Load() - was; n != 1 {
		t.Errorf("%d handshakes by a peer with a good certificate, want one", n)
	}
	a := block.NewArrival(b.ID(), block.DefaultPool)
	defer a.Leave()
	if _, err := p.Fetch(t.Context(), to, b.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) || a.Have() > 0 {
		t.Errorf("a block after the CA is gone: %d bytes, %v", a.Have(), err)
	}
	if _, err := trees.JoinTree(t.Context(), to, "i", ""); err != nil {
		t.Errorf("the request that finds its connection too old: %v", err) // it is the last
	}
	if _, err := trees.JoinTree(t.Context(), to, "i", ""); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("a seat after the CA is gone: %v", err)
	}
}
