// Package agents tests what README.md says, with a daemon and the example.
package agents

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is the repository's, as seen from here.
const root = "../.."

// needPython skips the test where the packages of README.md cannot be had.
func needPython(t *testing.T) {
	t.Helper()
	for file, pkg := range map[string]string{
		"/usr/lib/python3/dist-packages/grpc/__init__.py":            "python3-grpcio",
		"/usr/lib/python3/dist-packages/google/protobuf/__init__.py": "python3-protobuf",
		"/usr/lib/python3/dist-packages/zstandard/__init__.py":       "python3-zstandard",
		"/usr/include/google/protobuf/timestamp.proto":               "libprotobuf-dev",
	} {
		testtool.DebianFile(t, file, pkg)
		if !strings.Contains(block(t, "install"), " "+pkg) {
			t.Errorf("README.md does not tell to install %s", pkg)
		}
	}
	testtool.Debian(t, "protoc")
	testtool.Debian(t, "grpc_python_plugin")
}

// block returns the commands of README.md that are marked with name.
func block(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sh " + name + "\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("README.md has no commands %q", name)
	}
	return string(found[1])
}

// A host is a machine with a daemon on it, as far as the example sees one.
type host struct {
	dir, address, admin string
	socket              string
	env                 []string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t)), admin: fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t))}
	h.socket = filepath.Join(h.dir, "run", "cached.sock")
	// Debian's Python is the one that has the packages.
	h.env = append(os.Environ(), "PATH="+h.dir+":/usr/bin:/bin:"+os.Getenv("PATH"), "CACHED_SERVER=http://"+h.address, "PYTHONPATH="+h.dir+"/agent")
	h.must(t, "go", "build", "-o", h.dir+"/cached", "./cmd/cached")
	if err := os.Mkdir(filepath.Join(h.dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"program": imagetest.Busybox(t), "text": []byte(strings.Repeat("compresses well\n", 200_000)),
	} {
		if err := os.WriteFile(filepath.Join(h.dir, "files", name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h.must(t, h.dir+"/cached", "publish", "dir:"+h.dir+"/files", "--name", "app:v1", "--data-dir", h.dir+"/data")
	return h
}

func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = root, h.env
	return cmd
}

func (h *host) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return string(out)
}

// serve runs the daemon until the test ends.
func (h *host) serve(t *testing.T) *testtool.Process {
	t.Helper()
	return testtool.Start(t, h.command(h.dir+"/cached", "serve", "--data-dir", h.dir+"/data", "--listen", h.address, "--socket", h.socket, "--admin", h.admin, "--l2-size", "256MiB", "--l2-min-free", "0"), h.ready)
}

func (h *host) ready(ctx context.Context) bool {
	tr := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.admin+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// agent runs the example.
func (h *host) agent(args ...string) *exec.Cmd {
	return h.command(append([]string{"/usr/bin/python3", "docs/agents/python/agent.py"}, args...)...)
}

func TestTheExampleReadsAnImage(t *testing.T) {
	needPython(t)
	h := newHost(t)
	daemon := h.serve(t)
	// As written, but for a folder of its own.
	out := h.must(t, "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(block(t, "run"), "/tmp/agent", h.dir+"/agent"))
	if !strings.Contains(out, "app:v1: ") || !strings.Contains(out, "checked by their lengths only") && !strings.Contains(out, "blake3") {
		t.Errorf("it printed\n%s", out)
	}
	if left := h.must(t, h.dir+"/cached", "status"); !strings.Contains(left, "ready") {
		t.Errorf("status:\n%s", left)
	}

	t.Run("over the socket", func(t *testing.T) {
		file := filepath.Join(h.dir, "socket.erofs")
		h.must(t, h.agent("--server", "unix://"+h.socket, "app:v1", file).Args...)
		h.must(t, "cmp", file, filepath.Join(h.dir, "agent", "app.erofs"))
	})
	t.Run("no such image", func(t *testing.T) {
		file := filepath.Join(h.dir, "nothing.erofs")
		out, err := h.agent("nothing:v1", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "agent: NOT_FOUND: ") || strings.Contains(string(out), "Traceback") {
			t.Errorf("%v\n%s", err, out)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("it left a file")
		}
	})
	daemon.Stop()
	t.Run("no daemon", func(t *testing.T) {
		out, err := h.agent("--patience", "0.3", "app:v1", filepath.Join(h.dir, "x")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "agent: UNAVAILABLE: ") || strings.Contains(string(out), "Traceback") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a daemon that comes back", func(t *testing.T) {
		file := filepath.Join(h.dir, "later.erofs")
		type end struct {
			out []byte
			err error
		}
		done := make(chan end, 1)
		cmd := h.agent("app:v1", file)
		go func() {
			out, err := cmd.CombinedOutput()
			done <- end{out, err}
		}()
		h.serve(t)
		if e := <-done; e.err != nil {
			t.Fatalf("%v\n%s", e.err, e.out)
		}
		h.must(t, "cmp", file, h.dir+"/agent/app.erofs")
	})
}
