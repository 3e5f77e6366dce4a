package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
)

// TestProveRawRate measures reads of a block that is in memory through the raw
// encoding beside a plain net/http handler, nginx and bare TCP. All HTTP sides
// are read by the same client code.
func TestProveRawRate(t *testing.T) {
	const size = 512 << 10
	b := blocktest.Block(1, size)
	defer b.Release()
	rates := compare(t, []side{cachedSide(t, b), netHTTPSide(t, b), nginxSide(t, b), tcpSide(t, b)})
	figure.Report(t, "api.raw.vs_nethttp", ratio(rates, "cached", "net/http"), "x")
	figure.Report(t, "api.raw.vs_nginx", ratio(rates, "cached", "nginx"), "x")
	figure.Report(t, "api.raw.vs_tcp", ratio(rates, "cached", "tcp"), "x")
	figure.Report(t, "api.raw.gbps", median(rates["cached"])/1e9, "GB/s")
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

func cachedSide(tb testing.TB, b block.Block) side {
	url := serve(tb, Services{Blocks: inMemory(b)}, Options{})
	path := string(appendRawQuery([]byte(readBlockPath+"?"), rawRequest{id: b.ID()}))
	return httpSide("cached", url[len("http://"):], path, b.Len())
}

func netHTTPSide(tb testing.TB, b block.Block) side {
	l := listen(tb)
	length := strconv.Itoa(b.Len())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", length)
		own := b.Retain() // as every server of pooled memory must
		defer own.Release()
		_, _ = w.Write(own.Bytes())
	})}
	go s.Serve(l)
	tb.Cleanup(func() { s.Close() })
	return httpSide("net/http", l.Addr().String(), "/", b.Len())
}

func nginxSide(tb testing.TB, b block.Block) side {
	bin := testtool.Debian(tb, "nginx")
	l := listen(tb)
	address := l.Addr().String()
	l.Close()
	dir := tb.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	os.Chmod(dir, 0o755)
	if err := os.WriteFile(filepath.Join(dir, "block"), b.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address, dir), 0o644); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(bin, "-c", config, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	waitFor(tb, "nginx", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return httpSide("nginx", address, "/block", b.Len())
}

const nginxConfig = `
daemon off;
user root;
worker_processes 2;
pid %s/nginx.pid;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	sendfile_max_chunk 0;
	tcp_nopush off;
	open_file_cache max=16;
	keepalive_requests 1000000000;
	server { listen %s; root %s; }
}
`

func tcpSide(tb testing.TB, b block.Block) side {
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
	return side{"tcp", b.Len(), func(tb testing.TB) func() error {
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

// httpSide reads path over the lean client's connections.
func httpSide(name, address, path string, size int) side {
	return side{name, size, func(tb testing.TB) func() error {
		c := &rawConn{net: dial(tb, address)}
		c.out = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)
		buf := make([]byte, size)
		return func() error {
			resp, err := c.roundTrip()
			if err != nil {
				return err
			}
			if resp.status != 200 || resp.length != int64(size) || resp.chunked {
				return fmt.Errorf("unexpected response %+v", resp)
			}
			return c.readBody(buf)
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
