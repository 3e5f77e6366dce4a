package bundle

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
	"github.com/zonecache/cached/internal/testtool"
)

func mkfifo(name string) error { return unix.Mkfifo(name, 0o600) }

// busyboxRoot makes a root file system of one static program.
func busyboxRoot(t *testing.T) string {
	t.Helper()
	busybox := imagetest.Busybox(t)
	dir := t.TempDir()
	for _, name := range []string{"bin", "etc", "proc", "dev", "sys", "tmp", "data", "app"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "data"), 1001, 1002); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1001:1002::/app:/bin/sh\n",
		"etc/group":  "root:x:0:\napp:x:1002:\nextra:x:50:app\n",
		"data/seed":  "from the image\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "id", "pwd", "hostname", "cat", "touch", "ls", "cut", "grep"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runc runs a container of the bundle and returns what it prints.
func runc(t *testing.T, bundle string) string {
	t.Helper()
	bin := testtool.Debian(t, "runc")
	state, id := t.TempDir(), fmt.Sprintf("cached-test-%d", os.Getpid())
	cmd := exec.Command(bin, "--root", state, "run", "--bundle", bundle, id)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	t.Cleanup(func() { _ = exec.Command(bin, "--root", state, "delete", "--force", id).Run() })
	if err != nil {
		t.Fatalf("runc: %v\n%s%s", err, out.Bytes(), errs.Bytes())
	}
	return out.String()
}

func TestRuncStartsTheContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("runc needs root: run the test as root")
	}
	dir := busyboxRoot(t)
	r, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	config := `{"os": "linux", "config": {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["no"], "User": "app", "Env": ["GREETING=good morning"],
		"WorkingDir": "/app", "Volumes": {"/data": {}}, "Labels": {"run.oci.hooks.stdout": "/tmp/x"}}}`
	script := `id; pwd; hostname; echo $GREETING; echo $PATH; cat /data/seed; touch /new || echo read-only; touch /tmp/new && echo memory;
		touch /data/new && echo volume; ls -dn /tmp /data | cut -c1-10;
		grep -c : /proc/net/dev; grep NoNewPrivs /proc/self/status`
	b, err := New([]byte(config), r.FS(), Options{Root: dir, ReadOnly: true, Hostname: "box", Args: []string{script}})
	if err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	if err := b.Write(bundle); err != nil {
		t.Fatal(err)
	}
	got := runc(t, bundle)
	want := strings.Join([]string{
		"uid=1001(app) gid=1002(app) groups=50(extra)", "/app", "box", "good morning", strings.TrimPrefix(defaultPath, "PATH="),
		"from the image", "read-only", "memory", "volume", "drwxr-xr-x", "drwxrwxrwt", "1", "NoNewPrivs:\t1", "",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
