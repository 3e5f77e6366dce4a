package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// startDaemonAt runs `cached serve` at this address.
func startDaemonAt(t *testing.T, addr string, args ...string) *testtool.Process {
	t.Helper()
	admin, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cached", append([]string{"serve", "--listen", addr, "--admin", admin}, args...)...)
	return testtool.Start(t, cmd, testtool.Listening(addr))
}

// waitForEnd waits until a process that is no child of this one is gone.
func waitForEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if errors.Is(err, os.ErrNotExist) || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// endProcess ends a process, which must be one: 0 would be those of this test.
func endProcess(t *testing.T, pid int) {
	t.Helper()
	if pid <= 0 {
		t.Fatalf("process %d is none", pid)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	waitForEnd(t, pid)
}

// forgetPages has the kernel forget the files that it has read.
func forgetPages(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0); err != nil {
		t.Logf("the kernel keeps its pages: %v", err)
	}
}

// busyboxLayout makes an OCI layout of one image that runs args.
func busyboxLayout(t *testing.T, args []string) string {
	t.Helper()
	items := []imagetest.Item{
		imagetest.Dir("bin"), imagetest.Dir("proc"), imagetest.Dir("dev"), imagetest.Dir("sys"), imagetest.Dir("srv"), imagetest.Dir("etc"),
		{Header: tar.Header{Name: "bin/busybox", Mode: 0o755}, Body: string(imagetest.Busybox(t))},
		imagetest.Symlink("bin/sh", "busybox"), imagetest.Symlink("bin/id", "busybox"), imagetest.Symlink("bin/cat", "busybox"),
		imagetest.File("etc/motd", "a message"),
	}
	var blob bytes.Buffer
	if err := imagetest.WriteLayer(&blob, items...); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		img, err = mutate.ConfigFile(img, configOf(t, img, args))
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "test"}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func configOf(t *testing.T, img v1.Image, args []string) *v1.ConfigFile {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.Architecture, c.OS = "amd64", "linux"
	c.Config.Entrypoint, c.Config.Env, c.Config.WorkingDir = args, []string{"PATH=/bin", "GREETING=hello"}, "/srv"
	return c
}
