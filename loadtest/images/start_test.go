package images

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
)

// TestStarts builds every image in the directory that measurements use, starts
// both versions, and checks that v2 is what the package says.
func TestStarts(t *testing.T) {
	if !figure.Full() {
		t.Skipf("builds %s, which takes many minutes: set %s=1", strings.Join(Names(), ", "), figure.FullEnv)
	}
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			first, second := build(t, dir, name), build(t, dir, name+":v2")
			checkConfig(t, first)
			paths := checkVersions(t, first, second)
			t.Logf("the runtime layers differ in %v", paths)
			runtime := entries(t, second, second.Layers[1])
			if name != "tiny" { // it has no dpkg
				checkRebuilt(t, runtime, second.Rebuilt, paths)
				checkCompiled(t, runtime)
			}
			for _, b := range []Built{first, second} {
				checkStart(t, b)
			}
		})
	}
}

// checkRebuilt checks that only the package and dpkg's records of it differ.
func checkRebuilt(t *testing.T, runtime map[string]entry, pkg string, paths []string) {
	t.Helper()
	const info = "var/lib/dpkg/info/"
	for _, name := range paths {
		at := "/" + name
		if dir, file := path.Split(name); path.Base(dir) == "__pycache__" {
			module, _, _ := strings.Cut(file, ".")
			at = "/" + path.Join(path.Dir(path.Dir(dir)), module+".py")
		}
		ours := name == "var/lib/dpkg/status" || strings.HasPrefix(name, info+pkg+".") || strings.HasPrefix(name, info+pkg+":")
		if !ours && !strings.Contains(runtime[info+pkg+".list"].body, at+"\n") {
			t.Errorf("%s differs and is not of %s", name, pkg)
		}
	}
	if len(paths) < 3 {
		t.Errorf("only %v differ", paths)
	}
}

// checkCompiled checks that Python will use what was compiled: it holds its
// source's time and length.
func checkCompiled(t *testing.T, layer map[string]entry) {
	t.Helper()
	n := 0
	for name, e := range layer {
		dir, file := path.Split(name)
		module, _, ok := strings.Cut(file, ".cpython-")
		if !ok || path.Base(dir) != "__pycache__" || path.Ext(file) != ".pyc" {
			continue
		}
		source, ok := layer[path.Join(path.Dir(path.Dir(dir)), module+".py")]
		if !ok || !strings.HasPrefix(source.about, fmt.Sprint(tar.TypeReg)+" ") {
			continue // without a source, or of what a link points at
		}
		var typ, uid, gid, mode, mtime int64
		if _, err := fmt.Sscan(source.about, &typ, &uid, &gid, &mode, &mtime); err != nil {
			t.Fatal(err)
		}
		head := []byte(e.body)[:16]
		if flags := binary.LittleEndian.Uint32(head[4:]); flags != 0 {
			t.Errorf("%s is not checked by time (flags %d)", name, flags)
		}
		if got := int64(binary.LittleEndian.Uint32(head[8:])); got != mtime {
			t.Errorf("%s is of a source of %d, which is of %d", name, got, mtime)
		}
		if got := int64(binary.LittleEndian.Uint32(head[12:])); got != source.size {
			t.Errorf("%s is of a source of %d bytes, which has %d", name, got, source.size)
		}
		n++
	}
	t.Logf("%d compiled modules fit their sources", n)
}

// checkStart unpacks the image with umoci, starts it with runc in the host's
// network, and waits until it is ready.
func checkStart(t *testing.T, b Built) {
	t.Helper()
	umoci, runc := testtool.Debian(t, "umoci"), testtool.Debian(t, "runc")
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle")
	if out, err := exec.CommandContext(t.Context(), umoci, "unpack", "--image", strings.TrimPrefix(b.Source(), "oci:"), bundle).CombinedOutput(); err != nil {
		t.Fatalf("umoci unpack %s: %v\n%s", b.Source(), err, out)
	}
	port := 0
	if b.Ready.Port != 0 {
		port = testtool.FreePort(t)
	}
	adapt(t, filepath.Join(bundle, "config.json"), port)
	id := fmt.Sprintf("images-%s-%s-%d", b.Name, b.Tag, os.Getpid())
	root := filepath.Join(dir, "runc")
	cmd := exec.Command(runc, "--root", root, "run", "--bundle", bundle, id)
	t.Cleanup(func() { _ = exec.Command(runc, "--root", root, "delete", "--force", id).Run() })
	begin := time.Now()
	if port == 0 {
		var printed, complained strings.Builder
		cmd.Stdout, cmd.Stderr = &printed, &complained
		if err := cmd.Run(); err != nil || !strings.Contains(printed.String(), b.Ready.Text) {
			t.Fatalf("%s: %v, printed %q and complained %q", b.Ref(), err, printed.String(), complained.String())
		}
		t.Logf("%s ended after %s; printed %q", b.Ref(), time.Since(begin).Round(time.Millisecond), printed.String())
		return
	}
	var body string
	p := testtool.Start(t, cmd, func(ctx context.Context) bool {
		var err error
		body, err = get(ctx, fmt.Sprintf("http://127.0.0.1:%d/", port))
		return err == nil
	})
	t.Logf("%s answered after %s: %q", b.Ref(), time.Since(begin).Round(time.Millisecond), body)
	if !strings.Contains(body, b.Ready.Text) || !strings.Contains(body, b.Tag) {
		t.Errorf("%s answers %q, want %q and %q in it", b.Ref(), body, b.Ready.Text, b.Tag)
	}
	p.Stop()
}

func get(ctx context.Context, url string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", resp.Status)
	}
	return string(body), nil
}

// adapt takes the terminal and the network of its own from a bundle, and moves
// its port.
func adapt(t *testing.T, file string, port int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	process, linux := spec["process"].(map[string]any), spec["linux"].(map[string]any)
	process["terminal"] = false
	env := process["env"].([]any)
	if port != 0 {
		env = append(env, fmt.Sprintf("PORT=%d", port))
	}
	process["env"] = env
	var own []any
	for _, ns := range linux["namespaces"].([]any) {
		if ns.(map[string]any)["type"] != "network" {
			own = append(own, ns)
		}
	}
	linux["namespaces"] = own
	if err := writeJSON(file, spec); err != nil {
		t.Fatal(err)
	}
}
