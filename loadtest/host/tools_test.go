package host

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone"
)

// tools are the programs by which images are brought, mounted and started.
type tools struct {
	programs                      zone.Programs
	runc, umoci, skopeo, registry string
}

func findTools(t *testing.T) tools {
	t.Helper()
	return tools{
		programs: built.Programs(t), runc: testtool.Debian(t, "runc"), umoci: testtool.Debian(t, "umoci"),
		skopeo: testtool.Debian(t, "skopeo"), registry: testtool.Debian(t, "docker-registry"),
	}
}

// cool makes the kernel forget all files but those of the tools.
func (tools tools) cool(t *testing.T) {
	t.Helper()
	unix.Sync() // what is not written yet is not forgotten
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Skipf("needs to drop the kernel's caches: %v", err)
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command(tools.runc, "--version"), exec.Command(tools.umoci, "--version"),
		exec.Command(tools.skopeo, "--version"), tools.programs.Command("version"),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		if err := readWhole(cmd.Path); err != nil {
			t.Fatal(err)
		}
	}
}

func readWhole(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// on runs a command on a node's host to its end and returns what it printed on
// standard output.
func on(t *testing.T, node *zone.Node, cmd *exec.Cmd) string {
	t.Helper()
	out, err := try(t, node, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try is on for what may fail.
func try(t *testing.T, node *zone.Node, cmd *exec.Cmd) (string, error) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	var err error
	node.Host.Do(t, func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, strings.TrimSpace(complaints.String()))
	}
	return out.String(), err
}

// await polls, because what it waits for happens in other processes.
func await(t *testing.T, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after a minute: %v", what, err)
		}
	}
}
