package bundle

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestUsers(t *testing.T) {
	for _, c := range []struct {
		who  string
		want specs.User
	}{
		{"", specs.User{}},
		{"root", specs.User{}},
		{"app", specs.User{UID: 1001, GID: 1002, AdditionalGids: []uint32{29, 44}}},
		{"app:audio", specs.User{UID: 1001, GID: 29}},
		{"app:77", specs.User{UID: 1001, GID: 77}},
		{"nogroups", specs.User{UID: 5, GID: 6}},
		{"1001", specs.User{UID: 1001, GID: 1002}}, // the group of the first who has the number
		{"1001:app", specs.User{UID: 1001, GID: 1002}},
		{"4242", specs.User{UID: 4242}},
		{"4242:17", specs.User{UID: 4242, GID: 17}},
		{"0:0", specs.User{}},
	} {
		got, err := resolveUser(inside{root()}, c.who)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v, want %+v", c.who, got, err, c.want)
		}
	}
	for who, want := range map[string]string{
		"bad": "unknown", "huge": "unknown", "broken": "unknown", "app:bad": "unknown", ":": "not user[:group]", "app:": "not user[:group]", ":0": "not user[:group]",
		"-1": "unknown", "4294967295": "unknown", "4294967296": "unknown", "app:0:0": `group "0:0"`,
	} {
		if got, err := resolveUser(inside{root()}, who); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %q", who, got, err, want)
		}
	}
}

func TestUsersOfAnImageWithoutFiles(t *testing.T) {
	for _, fsys := range []fs.FS{nil, fstest.MapFS{}} {
		if got, err := resolveUser(inside{fsys}, "7"); err != nil || got.UID != 7 || got.GID != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := resolveUser(inside{fsys}, "app"); err == nil || !strings.Contains(err.Error(), "/etc/passwd") {
			t.Errorf("%v", err)
		}
	}
	only := fstest.MapFS{"etc/passwd": root()["etc/passwd"]}
	if got, err := resolveUser(inside{only}, "app"); err != nil || got.GID != 1002 || got.AdditionalGids != nil {
		t.Errorf("no group file: %+v, %v", got, err)
	}
}

// TestNoLinkLeadsOut makes links to the host's users; what they lead to is inside.
func TestNoLinkLeadsOut(t *testing.T) {
	for _, c := range []struct {
		link, target string
		want         string // of the error; empty: the image's own user is found
	}{
		{"etc/passwd", "/usr/lib/users", ""},
		{"etc/passwd", "../usr/lib/users", ""},
		{"etc/passwd", "../../../../../usr/lib/users", ""},
		{"etc/passwd", "/../../usr/./lib//users", ""},
		{"etc", "/usr/etc", ""},
		{"etc/passwd", "passwd", "too many symbolic links"},
		{"etc/passwd", "/outside", "unknown"},
		{"etc/passwd", "/usr/lib", "not a regular file"},
		{"etc/passwd", "/usr/lib/users/x", "not a directory"},
		{"etc/passwd", "/pipe", "not a regular file"},
	} {
		t.Run(c.link+" to "+c.target, func(t *testing.T) {
			host := t.TempDir()
			// Outside, where a careless reader would end up.
			if err := os.WriteFile(filepath.Join(host, "outside"), []byte("app:x:666:666::/:\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(host, "root")
			for _, err := range []error{
				os.MkdirAll(filepath.Join(dir, "usr/lib"), 0o755),
				os.MkdirAll(filepath.Join(dir, "usr/etc"), 0o755),
				os.WriteFile(filepath.Join(dir, "usr/lib/users"), []byte("app:x:1:2::/:\n"), 0o644),
				os.WriteFile(filepath.Join(dir, "usr/etc/passwd"), []byte("app:x:1:2::/:\n"), 0o644),
				mkfifo(filepath.Join(dir, "pipe")),
				os.MkdirAll(filepath.Dir(filepath.Join(dir, c.link)), 0o755),
				os.Symlink(c.target, filepath.Join(dir, c.link)),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			r, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := resolveUser(inside{r.FS()}, "app")
			if c.want == "" && (err != nil || got.UID != 1 || got.GID != 2) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%+v, %v, want %q", got, err, c.want)
			}
		})
	}
}
