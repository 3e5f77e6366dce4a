package api

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
)

// TestProveRawRate measures reads of a block that is in memory through the raw
// encoding beside a plain net/http handler, nginx and bare TCP. All HTTP sides
// are read by the same client code.
func TestProveRawRate(t *testing.T) {
	const size = 512 << 10
	b := blocktest.Block(1, size)
	defer b.Release()
	rates := rate.Compare(t, []rate.Side{cachedSide(t, b), rate.NetHTTP(t, b), rate.Nginx(t, b), tcpSide(t, b)})
	figure.Report(t, "api.raw.vs_nethttp", rate.Ratio(rates, "cached", "net/http"), "x")
	figure.Report(t, "api.raw.vs_nginx", rate.Ratio(rates, "cached", "nginx"), "x")
	figure.Report(t, "api.raw.vs_tcp", rate.Ratio(rates, "cached", "tcp"), "x")
	figure.Report(t, "api.raw.gbps", rate.Median(rates["cached"])/1e9, "GB/s")
}

// inMemory serves one block as L1 does.
func inMemory(b block.Block) block.Reader {
	return block.ReaderFunc(func(_ context.Context, id block.ID) (block.Block, error) {
		if id != b.ID() {
			return block.Block{}, block.ErrNotFound
		}
		return b.Retain().WithFrom(block.Memory), nil
	})
}

func cachedSide(tb testing.TB, b block.Block) rate.Side {
	url := serve(tb, Services{Blocks: inMemory(b)}, Options{})
	path := string(appendRawQuery([]byte(readBlockPath+"?"), rawRequest{id: b.ID()}))
	return rate.HTTP("cached", url[len("http://"):], path, b.Len())
}

func tcpSide(tb testing.TB, b block.Block) rate.Side {
	l := listen(tb)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var request, head [16]byte
				for {
					if _, err := io.ReadFull(c, request[:]); err != nil {
						return
					}
					own := b.Retain()
					reply := net.Buffers{head[:], own.Bytes()}
					_, err := reply.WriteTo(c)
					own.Release()
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return rate.Side{Name: "tcp", Size: b.Len(), Open: func(tb testing.TB) func() error {
		c := dial(tb, l.Addr().String())
		buf := make([]byte, b.Len())
		var request, head [16]byte
		return func() error {
			if _, err := c.Write(request[:]); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return err
			}
			_, err := io.ReadFull(c, buf)
			return err
		}
	}}
}

func dial(tb testing.TB, address string) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// serve runs a Server until the test ends and returns its URL.
func serve(tb testing.TB, services Services, options Options) string {
	tb.Helper()
	l := listen(tb)
	s := NewServer(NewHandler(services, options), ServerOptions{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			tb.Error(err)
		}
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// waitFor polls until ok, for at most ten seconds.
func waitFor(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	late := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-late:
			tb.Fatalf("%s: waited ten seconds in vain", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
