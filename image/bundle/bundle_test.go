package bundle

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// root is a root file system with users, and links of every kind to them.
func root() fstest.MapFS {
	file := func(body string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(body), Mode: 0o644} }
	dir := &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	return fstest.MapFS{
		"etc/passwd": file("# users\nroot:x:0:0:root:/root:/bin/sh\nbroken\nbad:x:y:1::/:\nhuge:x:4294967295:1::/:\n" +
			"app:x:1001:1002:App:/home/app:/bin/sh\nalso:x:1001:7::/:/bin/sh\nnogroups:x:5:6::/:/bin/sh"),
		"etc/group": file("root:x:0:\napp:x:1002:\naudio:x:29:other,app\nvideo:x:44:app\nown:x:1002:app\nvideo2:x:44:app\ndocker:x:999:application\nbad:x:y:app\n"),
		"proc":      dir, "dev": dir, "sys": dir, "tmp": dir, "app": dir, "data": dir,
		"srv": &fstest.MapFile{Mode: fs.ModeSymlink | 0o777, Data: []byte("/data")},
	}
}

const whole = `{
	"created": "2024-05-06T07:08:09.123456789Z", "author": "somebody", "architecture": "amd64", "variant": "v3", "os": "linux",
	"os.version": "1.2", "os.features": ["a", "b"],
	"config": {
		"User": "app", "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Env": ["LANG=C.UTF-8", "PATH=/app/bin", "EMPTY="],
		"Entrypoint": ["/entry", "--flag"], "Cmd": ["serve", "a b"], "Volumes": {"/data": {}}, "WorkingDir": "/app",
		"Labels": {"org.opencontainers.image.author": "a label", "team": "storage", "run.oci.hooks.stdout": "/etc/x", "org.systemd.property.ExecStart": "x"},
		"StopSignal": "SIGQUIT"
	},
	"rootfs": {"type": "layers", "diff_ids": []}
}`

func TestWholeConfig(t *testing.T) {
	b, err := New([]byte(whole), root(), Options{Root: "/mnt/image", ReadOnly: true, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	s := b.Spec
	want := map[string]any{
		"args":     []string{"/entry", "--flag", "serve", "a b"},
		"env":      []string{"LANG=C.UTF-8", "PATH=/app/bin", "EMPTY="},
		"cwd":      "/app",
		"user":     specs.User{UID: 1001, GID: 1002, AdditionalGids: []uint32{29, 44}},
		"root":     specs.Root{Path: "/mnt/image", Readonly: true},
		"hostname": "h",
		"annotations": map[string]string{
			"org.opencontainers.image.os": "linux", "org.opencontainers.image.architecture": "amd64", "org.opencontainers.image.variant": "v3",
			"org.opencontainers.image.os.version": "1.2", "org.opencontainers.image.os.features": "a,b",
			"org.opencontainers.image.author": "a label", "org.opencontainers.image.created": "2024-05-06T07:08:09.123456789Z",
			"org.opencontainers.image.stopSignal": "SIGQUIT", "org.opencontainers.image.exposedPorts": "443/tcp,80/tcp", "team": "storage",
		},
		"omitted":     []string{"org.systemd.property.ExecStart", "run.oci.hooks.stdout"},
		"terminal":    false,
		"privileges":  true,
		"inheritable": []string(nil),
	}
	got := map[string]any{
		"args": s.Process.Args, "env": s.Process.Env, "cwd": s.Process.Cwd, "user": s.Process.User, "root": *s.Root, "hostname": s.Hostname,
		"annotations": s.Annotations, "omitted": b.Omitted, "terminal": s.Process.Terminal, "privileges": s.Process.NoNewPrivileges,
		"inheritable": s.Process.Capabilities.Inheritable,
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[key], want[key]) {
			t.Errorf("%s: %v, want %v", key, got[key], want[key])
		}
	}
	var mounted []string
	for _, m := range s.Mounts {
		mounted = append(mounted, m.Destination)
	}
	if want := "/proc /dev /dev/pts /dev/shm /dev/mqueue /sys /sys/fs/cgroup /tmp /data"; strings.Join(mounted, " ") != want {
		t.Errorf("mounts %v, want %s", mounted, want)
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		entry, cmd string // JSON
		opts       Options
		want       []string
	}{
		{`["e"]`, `["c"]`, Options{}, []string{"e", "c"}},
		{`["e"]`, `null`, Options{}, []string{"e"}},
		{`null`, `["c", ""]`, Options{}, []string{"c", ""}},
		{`["e"]`, `["c"]`, Options{Args: []string{"x", "y"}}, []string{"e", "x", "y"}},
		{`["e"]`, `["c"]`, Options{Entrypoint: []string{"n"}}, []string{"n"}},
		{`["e"]`, `["c"]`, Options{Entrypoint: []string{}, Args: []string{"x"}}, []string{"x"}},
	} {
		b, err := New([]byte(`{"config": {"Entrypoint": `+c.entry+`, "Cmd": `+c.cmd+`}}`), root(), c.opts)
		if err != nil || !slices.Equal(b.Spec.Process.Args, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	b, err := New(nil, nil, Options{Args: []string{"/bin/sh"}, Env: []string{"A=1", "A=2"}})
	if err != nil {
		t.Fatal(err)
	}
	p := b.Spec.Process
	if p.Cwd != "/" || p.User.UID != 0 || !slices.Equal(p.Env, []string{"A=2", defaultPath}) || b.Spec.Root.Path != "rootfs" || b.Spec.Root.Readonly || b.Spec.Hostname == "" {
		t.Errorf("%+v %+v", p, b.Spec.Root)
	}
	network := func(b *Bundle) bool {
		return slices.ContainsFunc(b.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
	}
	if !network(b) {
		t.Error("not a network of its own")
	}
	fsys := root()
	fsys["etc/resolv.conf"] = &fstest.MapFile{Mode: 0o644}
	if b, err = New(nil, fsys, Options{Args: []string{"x"}, HostNetwork: true}); err != nil || network(b) {
		t.Errorf("%v; the host's network is not the container's", err)
	}
	var laid []string
	for _, m := range b.Spec.Mounts {
		if m.Type == "bind" {
			laid = append(laid, m.Destination)
		}
	}
	if !slices.Equal(laid, []string{"/etc/resolv.conf"}) {
		t.Errorf("files of the host: %v", laid)
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		config string
		opts   Options
		want   string
	}{
		{"", Options{}, "published from a directory or file: give a command after --"},
		{`{}`, Options{}, "neither Entrypoint nor Cmd: give a command after --"},
		{`{"config": {"Cmd": [""]}}`, Options{}, "empty name"},
		{`{"config": {"Cmd": ["a\u0000b"]}}`, Options{}, "zero byte"},
		{`{"config": {"Cmd": "x"}}`, Options{}, "config of the image: json"},
		{`not JSON`, Options{}, "config of the image"},
		{`{"os": "windows", "config": {"Cmd": ["x"]}}`, Options{}, "it is for windows"},
		{`{"config": {"Cmd": ["x"], "WorkingDir": "app"}}`, Options{}, `working directory "app": not absolute`},
		{`{"config": {"Cmd": ["x"], "WorkingDir": "/missing"}}`, Options{ReadOnly: true}, "working directory: /missing: file does not exist in the image"},
		{`{"config": {"Cmd": ["x"], "WorkingDir": "/etc/passwd"}}`, Options{ReadOnly: true}, "not a directory"},
		{`{"config": {"Cmd": ["x"], "Env": ["NOVALUE"]}}`, Options{}, `"NOVALUE" is not NAME=value`},
		{`{"config": {"Cmd": ["x"]}}`, Options{Env: []string{"=x"}}, `"=x" is not NAME=value`},
		{`{"config": {"Cmd": ["x"], "User": "nobody"}}`, Options{}, `user "nobody": unknown: not in /etc/passwd of the image`},
		{`{"config": {"Cmd": ["x"], "User": "app:missing"}}`, Options{}, `group "missing": unknown: not in /etc/group`},
		{`{"config": {"Cmd": ["x"], "Volumes": {"data": {}}}}`, Options{}, `volume "data": not an absolute path`},
		{`{"config": {"Cmd": ["x"], "Volumes": {"/": {}}}}`, Options{}, `volume "/"`},
		{`{"config": {"Cmd": ["x"], "Volumes": {"/a/../../b": {}}}}`, Options{}, `volume "/a/../../b"`},
		{`{"config": {"Cmd": ["x"], "Volumes": {"/missing": {}}}}`, Options{ReadOnly: true}, "volume on a read-only root: /missing"},
	} {
		_, err := New([]byte(c.config), root(), c.opts)
		if err == nil || !strings.HasPrefix(err.Error(), "bundle: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n%v, want %q", c.config, err, c.want)
		}
	}
	if _, err := New(nil, root(), Options{}); !errors.Is(err, ErrNoCommand) {
		t.Errorf("%v, want ErrNoCommand", err)
	}
	bare := fstest.MapFS{"dev": &fstest.MapFile{Mode: fs.ModeDir}, "bin/x": &fstest.MapFile{}}
	if _, err := New(nil, bare, Options{Args: []string{"x"}, ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "/proc: file does not exist in the image (a writable overlay would do)") {
		t.Errorf("no /proc: %v", err)
	}
	if _, err := New(nil, bare, Options{Args: []string{"x"}}); err != nil {
		t.Errorf("no /proc below an overlay: %v", err)
	}
}

func TestWrite(t *testing.T) {
	b, err := New([]byte(whole), root(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a", "bundle")
	for range 2 {
		if err := b.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	p, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back specs.Spec
	if err := json.Unmarshal(p, &back); err != nil || !reflect.DeepEqual(&back, b.Spec) {
		t.Errorf("read back: %v\n%s", err, p)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if err := b.Write(filepath.Join(dir, "config.json")); err == nil {
		t.Error("wrote into a file")
	}
}
