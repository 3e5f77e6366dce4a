package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// An agedServer is one whose clock and CAs a test changes.
type agedServer struct {
	address    string
	clock      movedClock
	handshakes atomic.Int32
	trusted    atomic.Pointer[tls.Config]
	sweeps     func() int64
}

func serveAged(t *testing.T, h *Handler, ca *testCA) *agedServer {
	t.Helper()
	s := &agedServer{}
	config := ca.config(t, "server")
	config.SessionTicketsDisabled, config.NextProtos = true, []string{"h2", "http/1.1"}
	config.VerifyConnection = func(tls.ConnectionState) error { s.handshakes.Add(1); return nil }
	s.trusted.Store(config.Clone())
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.trusted.Load(), nil }
	server := NewServer(h, ServerOptions{TLS: config, MaxAge: time.Hour, now: s.clock.now})
	l := listen(t)
	s.address = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), <-done); err != nil {
			t.Error(err)
		}
	})
	s.sweeps = func() int64 {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.lanes[0].tick.Load()
	}
	return s
}

// A reader of agents' reads one block; it retries nothing.
type agedReader struct {
	name string
	read func() error
}

func (s *agedServer) readers(t *testing.T, client *tls.Config, b block.Block) []agedReader {
	t.Helper()
	ours, err := NewClient("https://"+s.address, ClientOptions{TLS: client})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	readers := []agedReader{
		{"client", func() error {
			got, err := ours.ReadBlock(t.Context(), b.ID())
			got.Release()
			return err
		}},
		{"lane", s.bareReader(t, client, b.ID())},
	}
	body := fmt.Sprintf(`{"id":%q}`, b.ID())
	for _, version := range []int{1, 2} {
		var p http.Protocols
		p.SetHTTP1(version == 1)
		p.SetHTTP2(version == 2)
		transport := &http.Transport{TLSClientConfig: client.Clone(), Protocols: &p}
		t.Cleanup(transport.CloseIdleConnections)
		readers = append(readers, agedReader{fmt.Sprintf("HTTP/%d", version), func() error {
			resp, err := (&http.Client{Transport: transport}).Post("https://"+s.address+readBlockPath, "application/json", strings.NewReader(body))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != http.StatusOK || resp.ProtoMajor != version {
				return fmt.Errorf("%s %s, %w", resp.Proto, resp.Status, err)
			}
			return err
		}})
	}
	return readers
}

// bareReader reads over one connection until an answer says that it is the last.
func (s *agedServer) bareReader(t *testing.T, client *tls.Config, id block.ID) func() error {
	var conn *tls.Conn
	var r *bufio.Reader
	return func() error {
		if conn == nil {
			conn = dialTLS(t, s.address, client)
			r = bufio.NewReader(conn)
		}
		if _, err := fmt.Fprintf(conn, "GET %s?encoding=raw&id=%s HTTP/1.1\r\nHost: x\r\n\r\n", readBlockPath, id); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.Close {
			defer func() { conn.Close(); conn = nil }()
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s, %w", resp.Status, err)
		}
		return err
	}
}

// A handshake asks the CAs of its time. Agents' connections end, so that one that
// was taken out is asked for the last time, and no read fails by that.
func TestAgentsConnectionsEndWithinTheirAge(t *testing.T) {
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	ca, later := newTestCA(t), newTestCA(t)
	s := serveAged(t, NewHandler(Services{Blocks: inMemory(b)}, Options{}), ca)
	client := ca.config(t, "client")
	client.ServerName = "server"
	readers := s.readers(t, client, b)
	read := func(when string, n, handshakes int) {
		t.Helper()
		was := s.handshakes.Load()
		for range n {
			for _, r := range readers {
				if err := r.read(); err != nil {
					t.Errorf("%s: %s: %v", when, r.name, err)
				}
			}
		}
		if got := int(s.handshakes.Load() - was); got != handshakes*len(readers) {
			t.Errorf("%s: %d handshakes of %d readers, want %d each", when, got, len(readers), handshakes)
		}
	}
	read("at first", 3, 1)
	s.clock.advance(time.Hour - time.Minute)
	read("before the end", 3, 0)
	s.clock.advance(9 * time.Minute) // an eighth more is over, too
	sweeps := s.sweeps()
	waitFor(t, "two sweeps", func() bool { return s.sweeps() > sweeps+1 })
	read("the last answer", 1, 0)
	read("after the end", 3, 1)

	only := s.trusted.Load().Clone()
	only.ClientCAs = later.pool
	s.trusted.Store(only)
	read("while connections stand", 3, 0)
	s.clock.advance(time.Hour + 9*time.Minute)
	read("the last answer to an agent of the CA that is gone", 1, 0)
	for _, r := range readers {
		if err := r.read(); err == nil {
			t.Errorf("%s: reads with a certificate of a CA that is gone", r.name)
		}
	}
}

// Whoever shows no certificate shows a token, with each request: there is nothing
// to ask again.
func TestConnectionsWithoutACertificateStay(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	ca := newTestCA(t)
	s := serveAged(t, NewHandler(Services{Blocks: inMemory(b)}, Options{}), ca)
	open := s.trusted.Load().Clone()
	open.ClientAuth = tls.RequestClientCert
	s.trusted.Store(open)
	for _, r := range s.readers(t, &tls.Config{RootCAs: ca.pool, ServerName: "server"}, b) {
		for range 3 {
			if err := r.read(); err != nil {
				t.Errorf("%s: %v", r.name, err)
			}
			s.clock.advance(2 * time.Hour)
		}
	}
	if n := s.handshakes.Load(); n != 4 {
		t.Errorf("%d handshakes of 4 readers", n)
	}
}
