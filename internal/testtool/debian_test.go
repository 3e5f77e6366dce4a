package testtool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDebian(t *testing.T) {
	const program = "a-program-of-no-debian-package"
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	broken := errors.New("apt-get install: exit status 100")
	none := func(string) error { t.Error("installs without need"); return nil }
	put := func(string) error { return os.WriteFile(filepath.Join(dir, program), nil, 0o755) }

	var missing *missingError
	if _, err := debian(program, machine{uid: 1000, install: none}); !errors.As(err, &missing) {
		t.Fatalf("as a user: %v, want a missing program", err)
	} else if !strings.Contains(err.Error(), "apt-get install "+program) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("as a user: %q does not say in one line what to install", err)
	}
	if _, err := debian(program, machine{install: func(string) error { return broken }}); !errors.As(err, &missing) || !errors.Is(err, broken) {
		t.Fatalf("apt-get fails: %v, want a missing program and the cause", err)
	}
	if _, err := debian(program, machine{install: func(string) error { return nil }}); err == nil || errors.As(err, &missing) {
		t.Fatalf("a package without the program: %v, want a failure", err)
	}
	for _, m := range []machine{{install: put}, {uid: 1000, install: none}} {
		if path, err := debian(program, m); err != nil || path != filepath.Join(dir, program) {
			t.Fatalf("found %q, %v", path, err)
		}
	}
}

func TestDebianFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "module.py")
	none := func(string) error { t.Error("installs without need"); return nil }
	var missing *missingError
	if err := debianFile(file, "a-package", machine{uid: 1000, install: none}); !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt-get install a-package") {
		t.Fatalf("as a user: %v, want a missing file and its package", err)
	}
	if err := debianFile(file, "a-package", machine{install: func(string) error { return nil }}); err == nil || errors.As(err, &missing) {
		t.Fatalf("a package without the file: %v, want a failure", err)
	}
	put := func(string) error { return os.WriteFile(file, nil, 0o644) }
	for _, m := range []machine{{install: put}, {uid: 1000, install: none}} {
		if err := debianFile(file, "a-package", m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDebianLooksInSbin(t *testing.T) {
	sbin, err := filepath.Glob("/usr/sbin/*")
	if err != nil || len(sbin) == 0 {
		t.Skip("needs a system with programs in /usr/sbin")
	}
	t.Setenv("PATH", t.TempDir())
	for _, want := range sbin {
		if info, err := os.Stat(want); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		if path, ok := find(filepath.Base(want)); !ok || filepath.Base(path) != filepath.Base(want) {
			t.Fatalf("find(%s) = %q, %v", filepath.Base(want), path, ok)
		}
		return
	}
}

func TestDebianPackages(t *testing.T) {
	for program, pkg := range map[string]string{"nginx": "nginx-light", "fsck.erofs": "erofs-utils", "fio": "fio", "node": "nodejs", "chromium": "chromium"} {
		if got := packageOf(program); got != pkg {
			t.Errorf("packageOf(%s) = %s, want %s", program, got, pkg)
		}
	}
}
