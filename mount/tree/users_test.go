package tree

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image/erofs"
	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

// mountProgram is the test binary as a program that mounts.
func mountProgram(ctx context.Context, image, dir string) int {
	f, err := os.Open(image)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s, err := Serve(ctx, dir, erofs.Local(f), st.Size(), Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("mounted")
	// What the user sees and may do, as one line each.
	_, err = os.ReadFile(filepath.Join(dir, "etc/secret"))
	fmt.Println("secret:", err)
	p, err := os.ReadFile(filepath.Join(dir, "bin/ping"))
	fmt.Printf("ping: %s %v\n", p, err)
	f2, err := os.Open(filepath.Join(dir, "lib"))
	fmt.Println("busy:", s.Unmount(), err)
	f2.Close()
	if err := s.Unmount(); err != nil {
		fmt.Println("unmount:", err)
		return 1
	}
	fmt.Println("unmounted")
	return 0
}

// TestAUserMounts runs as nobody, through fusermount3.
func TestAUserMounts(t *testing.T) {
	needFUSE(t)
	testtool.Debian(t, "fusermount3")
	const nobody = 65534
	shared, err := os.MkdirTemp("", "cached-tree-") //nolint:usetesting // nobody may enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shared) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(imagetest.Build(t, imagetest.EveryKind()...))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(shared, "mnt")
	for _, err := range []error{
		os.Chmod(shared, 0o755),
		os.WriteFile(filepath.Join(shared, "test"), self, 0o755),
		os.WriteFile(filepath.Join(shared, "image"), image, 0o644),
		unix.Mknod(filepath.Join(shared, "fuse"), unix.S_IFCHR, int(unix.Mkdev(10, 229))),
		os.Chmod(filepath.Join(shared, "fuse"), 0o666),
		os.Mkdir(dir, 0o755),
		os.Chown(dir, nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// A mount namespace of its own, in which users may open /dev/fuse whether or not
	// they may on this machine.
	cmd := exec.CommandContext(t.Context(), testtool.Debian(t, "unshare"), "--mount", "/bin/sh", "-c",
		`mount --bind fuse /dev/fuse && exec setpriv --reuid 65534 --regid 65534 --clear-groups ./test "$PWD/mnt"`)
	cmd.Dir = shared
	cmd.Env = append(os.Environ(), asMount+"="+filepath.Join(shared, "image"))
	out, err := cmd.CombinedOutput()
	var lines []string
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, want := range []string{
		"mounted", "secret: open " + dir + "/etc/secret: permission denied", "ping: capable <nil>",
		"busy: tree: unmount " + dir + ": in use: ", "unmounted",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of\n%s\nwant %q", i, out, want)
		}
	}
}

// TestPrivilegesOfTheImage: a setuid program and a device node of an image take
// effect only where that was asked for.
func TestPrivilegesOfTheImage(t *testing.T) {
	needFUSE(t)
	image := imagetest.Build(t, imagetest.EveryKind()...)
	f, size := imagetest.Open(t, image)
	for _, opts := range []Options{{}, {Privileged: true}} {
		dir := serve(t, erofs.Local(f), size, opts).Dir()
		_, err := os.ReadFile(filepath.Join(dir, "dev/null"))
		want := error(unix.EACCES)
		if opts.Privileged {
			want = nil
		}
		is(t, fmt.Sprintf("reading /dev/null, privileged %v", opts.Privileged), err, want)
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if nosuid := st.Flags&unix.ST_NOSUID != 0; nosuid == opts.Privileged {
			t.Errorf("privileged %v, nosuid %v", opts.Privileged, nosuid)
		}
	}
}
