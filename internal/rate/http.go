package rate

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/testtool"
)

// HTTP reads path at address over keep-alive connections of the lean client.
// Responses must have status 200 and size bytes.
func HTTP(name, address, path string, size int) Side {
	return Side{name, size, func(tb testing.TB) func() error {
		c := Connect(tb, address, size)
		return func() error { return c.Get(path, size, nil) }
	}}
}

// NetHTTP is a plain net/http handler that writes the bytes of b.
func NetHTTP(tb testing.TB, b block.Block) Side {
	tb.Helper()
	l := Listen(tb)
	length := strconv.Itoa(b.Len())
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", length)
		own := b.Retain() // as every server of pooled memory must
		defer own.Release()
		_, _ = w.Write(own.Bytes())
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	tb.Cleanup(func() { s.Close(); <-done })
	return HTTP("net/http", l.Addr().String(), "/", b.Len())
}

// Nginx is nginx at its best: sendfile from the page cache.
func Nginx(tb testing.TB, b block.Block) Side {
	tb.Helper()
	bin := testtool.Debian(tb, "nginx")
	address := fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(tb))
	dir := tb.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	for _, err := range []error{
		os.Chmod(filepath.Dir(dir), 0o755),
		os.Chmod(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "block"), b.Bytes(), 0o644),
		os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address, dir), 0o644),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	testtool.Start(tb, exec.Command(bin, "-c", config, "-p", dir, "-e", filepath.Join(dir, "error.log")), testtool.Listening(address))
	return HTTP("nginx", address, "/block", b.Len())
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

// Dial connects to address until the test ends.
func Dial(tb testing.TB, address string) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// Listen listens on a free loopback port until the test ends.
func Listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}
