package peers

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// Each cache has room for all that a run reads, and is set up as its manual advises
// for speed: no log of requests (varnish keeps one in memory), connections to the store
// that stay.
const memory = 1 << 30

func loopback(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t))
}

// cacheDir is an empty directory that a cache may enter under any user.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run starts a cache that listens at address when it is ready.
func run(t *testing.T, cmd *exec.Cmd, address string, d *door) peer {
	t.Helper()
	return peer{address: address, process: testtool.Start(t, cmd, testtool.Listening(address)), door: d, path: storeKey}
}

func startCached(t *testing.T, _ string, d *door) peer {
	t.Helper()
	p, _ := startDaemon(t, d)
	return p
}

// startDaemon starts the daemon as anybody would; admin is where its profiles are.
func startDaemon(t *testing.T, d *door) (p peer, admin string) {
	t.Helper()
	address, admin := loopback(t), loopback(t)
	cmd := built.Programs(t).Command("serve", "--listen", address, "--admin", admin, "--data-dir", t.TempDir(),
		"--origin", "s3://peers?endpoint="+d.url()+"&region=us-east-1",
		"--l1-size", fmt.Sprint(memory), "--l2-size", "4GiB", "--l2-min-free", "0")
	p = peer{
		address: address, door: d, blocks: true,
		process: testtool.Start(t, cmd, ready("http://"+admin+"/readyz")),
		path:    rawRead,
	}
	return p, admin
}

// ready succeeds once url answers with 200.
func ready(url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		tr := &http.Transport{DisableKeepAlives: true}
		resp, err := tr.RoundTrip(req)
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}
}

func startNginx(t *testing.T, program string, d *door) peer {
	t.Helper()
	return nginx(t, program, d, "proxy_cache_key $uri;")
}

// startNginxSlice has nginx cut objects into slices of the block's size, so that it
// need not wait for the whole of a large one.
func startNginxSlice(t *testing.T, program string, d *door) peer {
	t.Helper()
	return nginx(t, program, d, "slice 1m; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;")
}

func nginx(t *testing.T, program string, d *door, keys string) peer {
	t.Helper()
	dir, address := cacheDir(t), loopback(t)
	user := "" // only root may name one
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, dir, dir, d.address, address, keys), 0o644); err != nil {
		t.Fatal(err)
	}
	return run(t, exec.Command(program, "-c", config, "-p", dir, "-e", filepath.Join(dir, "error.log")), address, d)
}

const nginxConfig = `
%s
daemon off;
worker_processes auto;
pid %s/nginx.pid;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	sendfile_max_chunk 0;
	tcp_nopush off;
	open_file_cache max=10000;
	keepalive_requests 1000000000;
	proxy_cache_path %s/cache levels=1:2 keys_zone=blocks:16m max_size=8g inactive=1h use_temp_path=off;
	upstream store { server %s; keepalive 32; }
	server {
		listen %s;
		location / {
			proxy_pass http://store;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_cache blocks;
			proxy_cache_valid 200 206 1h;
			proxy_cache_lock on;
			proxy_cache_lock_timeout 60s;
			proxy_cache_lock_age 60s;
			%s
		}
	}
}
`

func startVarnish(t *testing.T, program string, d *door) peer {
	t.Helper()
	address := loopback(t)
	return run(t, exec.Command(program, "-F", "-j", "none", "-n", cacheDir(t), "-a", address, "-b", d.address,
		"-s", fmt.Sprintf("malloc,%d", memory)), address, d)
}

func startRegistry(t *testing.T, program string, d *door) peer {
	t.Helper()
	dir, address := cacheDir(t), loopback(t)
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, registryConfig, dir, address, d.url()), 0o644); err != nil {
		t.Fatal(err)
	}
	p := run(t, exec.Command(program, "serve", config), address, d)
	p.path = registryPath
	// It keeps an object behind its answer, and fails while what links to it is an empty file.
	p.kept = func(o object) bool {
		link, err := os.Stat(filepath.Join(dir, "docker/registry/v2/repositories/peers/_layers/sha256", o.sha, "link"))
		return err == nil && link.Size() > 0
	}
	return p
}

const registryConfig = `
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  cache: {blobdescriptor: inmemory}
http: {addr: %q}
proxy: {remoteurl: %s}
`

func startGroupcache(t *testing.T, _ string, d *door) peer {
	t.Helper()
	return self(t, "groupcache", d)
}

// self starts this program as a server beside the tests.
func self(t *testing.T, what string, d *door) peer {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	address := loopback(t)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), serveEnv+"="+what, addressEnv+"="+address, storeEnv+"="+d.url())
	return run(t, cmd, address, d)
}
