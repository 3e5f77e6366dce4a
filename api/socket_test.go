package api

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// listenUnix listens on a socket and returns its URL.
func listenUnix(tb testing.TB) (net.Listener, string) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "cached.sock")
	l, err := net.Listen("unix", file)
	if err != nil {
		tb.Fatal(err)
	}
	return l, "unix://" + file
}

// A daemon serves a port with TLS and a socket in plain text at once: blocks, and
// procedures by Connect and gRPC. Both drain together, and fail no read.
func TestServerOfAPortAndASocket(t *testing.T) {
	b := blocktest.Block(1, 200_000)
	defer b.Release()
	ca := newTestCA(t)
	reader := newBlocking(b)
	port := listen(t)
	socket, url := listenUnix(t)
	s := NewServer(NewHandler(Services{Blocks: reader, Images: tenantsImages{}}, Options{Authenticate: byToken}), ServerOptions{TLS: ca.config(t, "server")})
	served := make(chan error, 2)
	for _, l := range []net.Listener{port, socket} {
		go func() { served <- s.Serve(l) }()
	}
	config := ca.config(t, "shop")
	config.ServerName = "server"
	clients := []*Client{
		connectTo(t, "https://"+port.Addr().String(), ClientOptions{TLS: config}),
		connectTo(t, url, ClientOptions{Token: "shop"}),
	}
	for _, c := range clients {
		if _, err := c.ListImages(t.Context()); err != nil {
			t.Errorf("%s: %v", c.URL(), err)
		}
		if err := c.Alive(t.Context()); err != nil {
			t.Errorf("%s: %v", c.URL(), err)
		}
	}
	var list cachedv1.ListImagesResponse
	asShop := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer shop")
	if err := grpcConn(t, url).Invoke(asShop, cachedv1connect.ImageServiceListImagesProcedure, &cachedv1.ListImagesRequest{}, &list); err != nil || len(list.GetImages()) != 1 {
		t.Errorf("over gRPC: %v, %v", &list, err)
	}
	stranger := connectTo(t, url, ClientOptions{})
	if _, err := stranger.ReadBlock(t.Context(), b.ID()); !errors.Is(err, block.ErrUnauthenticated) {
		t.Errorf("without a token: %v", err)
	}

	read := make(chan error, len(clients))
	for _, c := range clients {
		go func() {
			got, err := c.ReadBlock(t.Context(), b.ID())
			got.Release()
			read <- err
		}()
	}
	for range clients {
		<-reader.started
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	waitFor(t, "both listeners to close", func() bool {
		tcp, err := net.Dial("tcp", port.Addr().String())
		if err == nil {
			tcp.Close()
			return false
		}
		unix, err := net.DialTimeout("unix", socket.Addr().String(), time.Second)
		if err == nil {
			unix.Close()
		}
		return err != nil
	})
	close(reader.release)
	for range clients {
		if err := <-read; err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(<-stopped, <-served, <-served); err != nil {
		t.Fatal(err)
	}
	if _, err := clients[1].ReadBlock(t.Context(), b.ID()); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("from a socket that is gone: %v", err)
	}
}

// An agent that goes away over a socket is seen to be gone.
func TestDisconnectOverASocketCancelsTheRead(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	l, url := listenUnix(t)
	s := NewServer(NewHandler(Services{Blocks: reader}, Options{}), ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c := connectTo(t, url, ClientOptions{Timeout: 50 * time.Millisecond})
	if _, err := c.ReadBlock(t.Context(), b.ID()); !errors.Is(err, block.ErrUnavailable) {
		t.Error(err)
	}
	if err := <-reader.ended; err == nil {
		t.Error("the read went on")
	}
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}
