package testtool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/testtool/pin"
)

// packageOf returns the Debian package that brings a program. Most are named
// after it.
func packageOf(program string) string {
	switch program {
	case "promtool":
		return "prometheus"
	case "etcd":
		return "etcd-server"
	case "ip":
		return "iproute2"
	case "dpkg-deb":
		return "dpkg"
	case "systemd-sysusers":
		return "systemd-standalone-sysusers"
	case "nginx":
		return "nginx-light"
	case "mkfs.erofs", "fsck.erofs", "dump.erofs":
		return "erofs-utils"
	case "h2load":
		return "nghttp2-client"
	case "varnishd":
		return "varnish"
	case "redis-server", "redis-benchmark", "redis-cli":
		return "redis-server"
	case "mkfs.ext4", "debugfs":
		return "e2fsprogs"
	case "protoc":
		return "protobuf-compiler"
	case "grpc_python_plugin":
		return "protobuf-compiler-grpc"
	case "getfattr", "setfattr":
		return "attr"
	case "fusermount3":
		return "fuse3"
	case "node":
		return "nodejs"
	case "busybox": // the other one needs a C library, which a small root file system lacks
		return "busybox-static"
	case "qemu-system-x86_64":
		return "qemu-system-x86"
	case "unshare", "mount", "losetup", "setpriv":
		return "util-linux"
	}
	return program
}

// Debian returns the path of a program from PATH or the system's sbin
// directories. A missing one is installed by apt-get when the test runs as root
// on a Debian-like system; otherwise the test is skipped, saying what to
// install.
func Debian(tb testing.TB, program string) string {
	tb.Helper()
	path, err := Install(program)
	var missing *missingError
	if errors.As(err, &missing) {
		tb.Skip(missing)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Install is Debian for what is no test: where the program cannot be had, the
// error says what to install.
func Install(program string) (string, error) {
	return debian(program, machine{uid: os.Getuid(), install: aptInstall})
}

// DebianFile is Debian for a file that a package brings and PATH does not lead to,
// a module of Python for example.
func DebianFile(tb testing.TB, file, pkg string) {
	tb.Helper()
	err := debianFile(file, pkg, machine{uid: os.Getuid(), install: aptInstall})
	var missing *missingError
	if errors.As(err, &missing) {
		tb.Skip(missing)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func debianFile(file, pkg string, m machine) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if m.uid != 0 {
		return &missingError{program: file, pkg: pkg}
	}
	if err := m.install(pkg); err != nil {
		return &missingError{program: file, pkg: pkg, cause: err}
	}
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("testtool: the Debian package %s: %w", pkg, err)
	}
	return nil
}

// A machine is what debian needs to know and do beyond looking for files.
type machine struct {
	uid     int
	install func(pkg string) error
}

// A missingError says which program the test went without and what brings it.
type missingError struct {
	program, pkg string
	cause        error // why it could not be installed here
}

func (e *missingError) Error() string {
	why := ""
	if e.cause != nil {
		why = fmt.Sprintf(" (tried: %v)", e.cause)
	}
	return fmt.Sprintf("needs %s: run `apt-get install %s`, or run the test as root, which installs it%s", e.program, e.pkg, why)
}

func (e *missingError) Unwrap() error { return e.cause }

func debian(program string, m machine) (string, error) {
	if path, ok := find(program); ok {
		return path, nil
	}
	pkg := packageOf(program)
	if m.uid != 0 {
		return "", &missingError{program: program, pkg: pkg}
	}
	if err := m.install(pkg); err != nil {
		return "", &missingError{program: program, pkg: pkg, cause: err}
	}
	path, ok := find(program)
	if !ok {
		return "", fmt.Errorf("testtool: %s: the Debian package %s does not bring it", program, pkg)
	}
	return path, nil
}

// find looks beyond PATH because a user's PATH often lacks sbin, where Debian
// keeps servers.
func find(program string) (string, bool) {
	if path, err := exec.LookPath(program); err == nil {
		path, err = filepath.Abs(path)
		return path, err == nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, true
		}
	}
	return "", false
}

// aptInstall installs one package, refreshing the package lists only when the
// ones on disk do not serve.
func aptInstall(pkg string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	unlock, err := pin.Lock(ctx, "/tmp/apt.lock")
	if err != nil {
		return err
	}
	defer unlock()
	install := []string{"install", "-y", "-q", "--no-install-recommends", pkg}
	if aptGet(ctx, install...) == nil {
		return nil
	}
	if err := aptGet(ctx, "update", "-q"); err != nil {
		return err
	}
	return aptGet(ctx, install...)
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "E: ") {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, strings.TrimSpace(line))
		}
	}
	return fmt.Errorf("apt-get %s: %w", args[0], err)
}
