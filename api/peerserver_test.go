package api

import (
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
