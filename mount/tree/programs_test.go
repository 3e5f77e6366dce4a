package tree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/bundle"
	"github.com/zonecache/cached/image/erofs"
	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// withBusybox returns a small root file system that programs run from.
func withBusybox(t *testing.T) []imagetest.Item {
	t.Helper()
	p := imagetest.Busybox(t)
	return []imagetest.Item{
		imagetest.Dir("bin"), imagetest.File("bin/busybox", string(p)).Perm(0o755), imagetest.Symlink("bin/sh", "busybox"),
		imagetest.File("etc/motd", "good morning\n"),
	}
}

// run runs a program of a file system that this process serves. Between fork and exec
// a Go process holds what the server may need to answer, so a shell has to
// do the exec.
func run(args ...string) ([]byte, error) {
	return exec.Command("/bin/sh", append([]string{"-c", `"$@"`, "sh"}, args...)...).CombinedOutput()
}

func TestProgramsRun(t *testing.T) {
	dir, _ := serveItems(t, withBusybox(t)...)
	out, err := run(filepath.Join(dir, "bin/busybox"), "cat", filepath.Join(dir, "etc/motd"))
	if err != nil || string(out) != "good morning\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestOverlay makes the tree writable the usual way.
func TestOverlay(t *testing.T) {
	lower, _ := serveItems(t, withBusybox(t)...)
	top := t.TempDir()
	for _, name := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(top, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(top, "merged")
	data := "lowerdir=" + lower + ",upperdir=" + filepath.Join(top, "upper") + ",workdir=" + filepath.Join(top, "work")
	if err := unix.Mount("overlay", merged, "overlay", 0, data); err != nil {
		t.Skipf("no overlay on %s: %v", top, err)
	}
	defer func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	motd := filepath.Join(merged, "etc/motd")
	if err := os.WriteFile(motd, []byte("good night\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(merged, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	out, err := run(filepath.Join(merged, "bin/busybox"), "cat", motd)
	if err != nil || string(out) != "good night\n" {
		t.Errorf("%q, %v", out, err)
	}
	if p, err := os.ReadFile(filepath.Join(lower, "etc/motd")); err != nil || string(p) != "good morning\n" {
		t.Errorf("the image's own file: %q, %v", p, err)
	}
}

// TestAContainerRuns starts a container, as another user, from the mounted image.
func TestAContainerRuns(t *testing.T) {
	needFUSE(t)
	runc := testtool.Debian(t, "runc")
	items := append(withBusybox(t), imagetest.Dir("proc"), imagetest.Dir("dev"), imagetest.Dir("sys"), imagetest.Dir("tmp").Perm(0o1777),
		imagetest.File("etc/passwd", "app:x:1001:1002::/:/bin/sh\n"), imagetest.Symlink("bin/cat", "busybox"), imagetest.Symlink("bin/id", "busybox"))
	f, size := imagetest.Open(t, imagetest.Build(t, items...))
	dir := serve(t, erofs.Local(f), size, Options{AllowOther: true, Privileged: true}).Dir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.New([]byte(`{"config": {"User": "app", "Cmd": ["/bin/sh", "-c", "id -u; cat /etc/motd; echo x >/tmp/x && cat /tmp/x"]}}`), root.FS(), bundle.Options{Root: dir, ReadOnly: true})
	if err := errors.Join(err, root.Close()); err != nil {
		t.Fatal(err)
	}
	folder, state := t.TempDir(), t.TempDir()
	if err := b.Write(folder); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("cached-tree-%d", os.Getpid())
	t.Cleanup(func() { _ = exec.Command(runc, "--root", state, "delete", "--force", id).Run() })
	out, err := run(runc, "--root", state, "run", "--bundle", folder, id)
	if err != nil || string(out) != "1001\ngood morning\nx\n" {
		t.Errorf("%q, %v", out, err)
	}
}
