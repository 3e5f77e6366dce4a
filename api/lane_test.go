package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func readRequest(p []byte) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(bytes.NewReader(p)))
}

// A connection is talked to byte by byte: requests in one packet, in pieces,
// raw and others mixed.
func TestLaneConnections(t *testing.T) {
	b := blocktest.Block(1, 70_000)
	defer b.Release()
	address := strings.TrimPrefix(serve(t, Services{Blocks: inMemory(b)}, Options{}), "http://")
	raw := "GET " + readBlockPath + "?encoding=raw&id=" + b.ID().String() + " HTTP/1.1\r\nHost: x\r\n\r\n"
	alias := "GET " + blocksPath + b.ID().String() + " HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, tt := range map[string]struct {
		send  []string
		reads int
	}{
		"pipelined":                 {[]string{raw + raw + raw}, 3},
		"in two pieces":             {[]string{raw[:40], raw[40:]}, 1},
		"first byte alone":          {[]string{raw[:1], raw[1:]}, 1},
		"cut in the last line":      {[]string{raw[:len(raw)-1], raw[len(raw)-1:]}, 1},
		"then another kind":         {[]string{raw + alias + raw}, 3},
		"another kind in pieces":    {[]string{raw + alias[:5], alias[5:] + alias}, 3},
		"another kind first":        {[]string{alias + raw}, 2},
		"line feeds only":           {[]string{strings.ReplaceAll(raw, "\r\n", "\n")}, 1},
		"a timeout":                 {[]string{strings.Replace(raw, "Host", "connect-timeout-ms: 5000\r\nHost", 1)}, 1},
		"many fields":               {[]string{strings.Replace(raw, "Host", strings.Repeat("X-Y: z\r\n", 50)+"Host", 1)}, 1},
		"a head larger than buffer": {[]string{strings.Replace(raw, "Host", strings.Repeat("X-Y: z\r\n", 1500)+"Host", 1)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, address)
			c.SetDeadline(time.Now().Add(20 * time.Second))
			go func() {
				for _, s := range tt.send {
					io.WriteString(c, s)
				}
			}()
			r := bufio.NewReader(c)
			for i := range tt.reads {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("response %d: %v", i, err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || !bytes.Equal(body, b.Bytes()) || resp.StatusCode != http.StatusOK {
					t.Fatalf("response %d: %s, %d bytes, %v", i, resp.Status, len(body), err)
				}
			}
		})
	}
}

func TestLaneRefusesWhatNetHTTPRefuses(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	address := strings.TrimPrefix(serve(t, Services{Blocks: inMemory(b)}, Options{}), "http://")
	target := "GET " + readBlockPath + "?encoding=raw&id=" + b.ID().String()
	for name, request := range map[string]string{
		"no host":         target + " HTTP/1.1\r\n\r\n",
		"two hosts":       target + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"bad field":       target + " HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
		"space in name":   target + " HTTP/1.1\r\nHost : a\r\n\r\n",
		"bad version":     target + " HTTP/9.1\r\nHost: a\r\n\r\n",
		"smuggled length": target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, address)
			c.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(c, request)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode < 400 {
				t.Fatalf("status %s", resp.Status)
			}
		})
	}
}

// blocking serves b once released, or the context's error.
type blocking struct {
	b       block.Block
	started chan struct{}
	release chan struct{}
	ended   chan error // of reads that were cancelled
}

func newBlocking(b block.Block) *blocking {
	return &blocking{b, make(chan struct{}, 64), make(chan struct{}), make(chan error, 64)}
}

func (r *blocking) ReadBlock(ctx context.Context, _ block.ID) (block.Block, error) {
	r.started <- struct{}{}
	select {
	case <-r.release:
		return r.b.Retain().WithFrom(block.Origin), nil
	case <-ctx.Done():
		r.ended <- ctx.Err()
		return block.Block{}, fmt.Errorf("blocking: %w", ctx.Err())
	}
}

func TestDisconnectCancelsTheRead(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	url := serve(t, Services{Blocks: reader}, Options{})
	for _, path := range []string{readBlockPath + "?encoding=raw&id=" + b.ID().String(), blocksPath + b.ID().String()} {
		c := dial(t, strings.TrimPrefix(url, "http://"))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		<-reader.started
		c.Close()
		if err := <-reader.ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

func TestTimeoutCrossesTheWire(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	url := serve(t, Services{Blocks: reader}, Options{})
	for _, path := range []string{readBlockPath + "?encoding=raw&id=" + b.ID().String(), blocksPath + b.ID().String()} {
		resp := get(t, plainClient(t), "GET", url+path, "Connect-Timeout-Ms: 20")
		if resp.StatusCode != http.StatusGatewayTimeout {
			t.Fatalf("%s: %s %s", path, resp.Status, resp.body)
		}
	}
}

func TestOverload(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	reader := newBlocking(b)
	var refused atomic.Int64
	url := serve(t, Services{Blocks: reader}, Options{MaxInFlight: 2, Overloaded: func() { refused.Add(1) }})
	c := connectTo(t, url, ClientOptions{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { blocktest.CheckRead(t, c, b, block.Origin) })
	}
	<-reader.started
	<-reader.started
	_, err := c.ReadBlock(t.Context(), b.ID())
	if !errors.Is(err, block.ErrOverloaded) || RetryAfter(err) != time.Second || !strings.Contains(err.Error(), "max_in_flight") {
		t.Errorf("third read: %v, retry after %s", err, RetryAfter(err))
	}
	resp := get(t, plainClient(t), "GET", url+blocksPath+b.ID().String())
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("fourth read: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	close(reader.release)
	wg.Wait()
	blocktest.CheckRead(t, c, b, block.Origin)
	if n := refused.Load(); n != 2 {
		t.Errorf("%d refusals were told of, want 2", n)
	}
}

// A client that stops reading is cut off, and its block and place come back.
func TestStalledClientsAreCutOff(t *testing.T) {
	b := blocktest.Block(1, block.MaxSize)
	defer b.Release()
	l := listen(t)
	h := NewHandler(Services{Blocks: inMemory(b)}, Options{})
	s := NewServer(h, ServerOptions{StallTimeout: 200 * time.Millisecond, HeaderTimeout: 200 * time.Millisecond, IdleTimeout: 200 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	var lane *lane
	waitFor(t, "Serve", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.lanes) == 0 {
			return false
		}
		lane = s.lanes[0]
		return true
	})
	for name, send := range map[string]string{
		"stalled in the lane":     strings.Repeat("GET "+readBlockPath+"?encoding=raw&id="+b.ID().String()+" HTTP/1.1\r\nHost: x\r\n\r\n", 20),
		"stalled in net/http":     strings.Repeat("GET "+blocksPath+b.ID().String()+" HTTP/1.1\r\nHost: x\r\n\r\n", 20),
		"half a head":             "GET " + readBlockPath + "?enc",
		"half a head of net/http": "GET /blocks",
		"idle":                    "",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, l.Addr().String())
			c.(*net.TCPConn).SetReadBuffer(4096)
			io.WriteString(c, send)
			if strings.HasPrefix(name, "stalled") {
				waitFor(t, "the read", func() bool { return h.raw.gate.in.Load() == 1 })
			}
			waitFor(t, "the server to give up", func() bool {
				lane.mu.Lock()
				defer lane.mu.Unlock()
				return len(lane.conns) == 0 && h.raw.gate.in.Load() == 0
			})
			if strings.HasPrefix(name, "stalled") {
				return // the kernel still holds much of what was written
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection is still open")
			}
		})
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPanicEndsOneConnection(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	good := inMemory(b)
	url := serve(t, Services{Blocks: block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if id != b.ID() {
			panic("a bug")
		}
		return good.ReadBlock(ctx, id)
	})}, Options{MaxInFlight: 1})
	c := connectTo(t, url, ClientOptions{})
	for range 2 {
		blocktest.CheckError(t, c, block.Sum(nil), block.ErrUnavailable)
		blocktest.CheckRead(t, c, b, block.Memory)
	}
}
