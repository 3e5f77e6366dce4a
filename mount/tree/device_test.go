package tree

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asOpener is the file that a copy of this test, of another user, tries to open.
const asOpener = "CACHED_TREE_TEST_OPENS"

// Who may not open the device is told so in one sentence, and what to do.
func TestWhoMayNotOpenTheDevice(t *testing.T) {
	if err := openable(filepath.Join(t.TempDir(), "fuse")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "modprobe fuse") {
		t.Errorf("no device: %v", err)
	}
	name := filepath.Join(t.TempDir(), "fuse")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openable(name); err != nil {
		t.Errorf("one's own: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("to be another user needs root: run this test as root")
	}
	shared, err := os.MkdirTemp("", "cached-tree-") //nolint:usetesting // nobody may enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shared) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	name = filepath.Join(shared, "fuse")
	for _, err := range []error{
		os.Chmod(shared, 0o755), os.WriteFile(filepath.Join(shared, "test"), self, 0o755), os.WriteFile(name, nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(shared, "test"))
	cmd.Dir, cmd.Env = shared, append(os.Environ(), asOpener+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	want := "this user may not open " + name + ": chmod 666 " + name + " as root, as most systems have it: open " + name + ": permission denied"
	if err != nil || string(out) != want {
		t.Errorf("nobody is told %q, %v; want %q", out, err, want)
	}
}
