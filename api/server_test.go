package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// A read that is in progress when the daemon is told to stop ends well, in
// every encoding.
func TestShutdownFailsNoRead(t *testing.T) {
	b := blocktest.Block(1, 200_000)
	defer b.Release()
	reader := newBlocking(b)
	l := listen(t)
	base := "http://" + l.Addr().String()
	h := NewHandler(Services{Blocks: reader}, Options{})
	s := NewServer(h, ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	raw := connectTo(t, base, ClientOptions{})
	hc, h2 := plainClient(t), h2cClient(t, nil)
	reads := map[string]func() error{
		"raw": func() error {
			got, err := raw.ReadBlock(t.Context(), b.ID())
			got.Release()
			return err
		},
		"alias": func() error {
			if resp := get(t, hc, "GET", base+blocksPath+b.ID().String()); !bytes.Equal(resp.body, b.Bytes()) {
				return errors.New(resp.Status)
			}
			return nil
		},
		"connect": func() error { return readRPC(t, cachedv1connect.NewBlockServiceClient(hc, base), b) },
		"grpc": func() error {
			return readRPC(t, cachedv1connect.NewBlockServiceClient(h2, base, connect.WithGRPC()), b)
		},
	}
	var wg sync.WaitGroup
	for name, read := range reads {
		wg.Go(func() {
			if err := read(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	for range reads {
		<-reader.started
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	waitFor(t, "health", h.Draining)
	waitFor(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(reader.release)
	wg.Wait()
	if err := errors.Join(<-stopped, <-served); err != nil {
		t.Fatal(err)
	}
}

func readRPC(t *testing.T, rpc cachedv1connect.BlockServiceClient, b block.Block) error {
	resp, err := rpc.ReadBlock(t.Context(), &cachedv1.ReadBlockRequest{Id: b.ID().String()})
	if err == nil && !bytes.Equal(resp.Content, b.Bytes()) {
		return errors.New("wrong bytes")
	}
	return err
}

// Clients that read without a pause while the daemon stops see each read
// succeed, until one finds nobody listening.
func TestShutdownUnderLoad(t *testing.T) {
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	for range 5 {
		l := listen(t)
		s := NewServer(NewHandler(Services{Blocks: inMemory(b)}, Options{}), ServerOptions{})
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		c := connectTo(t, "http://"+l.Addr().String(), ClientOptions{})
		var wg sync.WaitGroup
		warm := make(chan struct{}, 8)
		for range 8 {
			wg.Go(func() {
				for n := 0; ; n++ {
					got, err := c.ReadBlock(t.Context(), b.ID())
					if err != nil {
						if !strings.Contains(err.Error(), "is `cached serve` running?") {
							t.Errorf("a read failed: %v", err)
						}
						return
					}
					got.Release()
					if n == 20 {
						warm <- struct{}{}
					}
				}
			})
		}
		for range 8 {
			<-warm
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	l := listen(t)
	s := NewServer(NewHandler(Services{Blocks: reader}, Options{}), ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c := connectTo(t, "http://"+l.Addr().String(), ClientOptions{})
	var wg sync.WaitGroup
	wg.Go(func() { blocktest.CheckError(t, c, b.ID(), block.ErrUnavailable) })
	<-reader.started
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Shutdown: %v", err)
	}
	wg.Wait()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeEndsWhenTheListenerBreaks(t *testing.T) {
	l := listen(t)
	s := NewServer(NewHandler(Services{}, Options{}), ServerOptions{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	waitFor(t, "Serve", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.lanes) > 0
	})
	l.Close()
	if err := <-served; err == nil {
		t.Error("Serve returned nil")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServeAfterShutdown(t *testing.T) {
	s := NewServer(NewHandler(Services{}, Options{}), ServerOptions{DrainDelay: time.Millisecond})
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Fatal("the listener is still open")
	}
}

// An HTTP/2 client that opens no flow-control window is cut off.
func TestStalledStreamsAreCutOff(t *testing.T) {
	b := blocktest.Block(1, block.MaxSize)
	defer b.Release()
	l := listen(t)
	h := NewHandler(Services{Blocks: inMemory(b)}, Options{})
	s := NewServer(h, ServerOptions{StallTimeout: 100 * time.Millisecond})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	hc := h2cClient(t, &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10})
	resp, err := hc.Get("http://" + l.Addr().String() + blocksPath + b.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the server to give up", func() bool { return h.raw.gate.in.Load() == 0 })
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("all %d bytes arrived", n)
	}
	resp.Body.Close()
	hc.CloseIdleConnections()
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}

// A request body that does not arrive is not waited for; a slow answer to one
// that did is.
func TestSlowBodies(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	l := listen(t)
	s := NewServer(NewHandler(Services{Blocks: reader}, Options{}), ServerOptions{HeaderTimeout: 50 * time.Millisecond})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	base := "http://" + l.Addr().String()

	c := dial(t, l.Addr().String())
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "POST "+readBlockPath+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{")
	if reply, err := io.ReadAll(c); err != nil || strings.HasPrefix(string(reply), "HTTP/1.1 200") {
		t.Errorf("half a body: %q, %v", reply, err)
	}

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := readRPC(t, cachedv1connect.NewBlockServiceClient(plainClient(t), base), b); err != nil {
			t.Errorf("a slow read: %v", err)
		}
	})
	<-reader.started
	select {
	case err := <-reader.ended:
		t.Errorf("the read was cancelled: %v", err)
	case <-time.After(150 * time.Millisecond): // three times the limit of bodies
	}
	close(reader.release)
	wg.Wait()
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}
