package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := filepath.Join(t.TempDir(), "data")
	for _, d := range []string{"l2/a", "l2/b"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "l2/a/segment"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "l2/link")); err != nil {
		t.Fatal(err)
	}
	if n, err := own(dir, 65532, 65533); err != nil || n != 6 {
		t.Fatalf("%d changed, %v", n, err)
	}
	for _, name := range []string{"", "l2", "l2/a", "l2/a/segment", "l2/link"} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != 65532 || st.Gid != 65533 {
			t.Errorf("%q belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
	if fi, err := os.Stat("/etc/passwd"); err != nil || fi.Sys().(*syscall.Stat_t).Uid != 0 { //nolint:forcetypeassert // it is on Linux
		t.Error("a link was followed")
	}
	if n, err := own(dir, 65532, 65533); err != nil || n != 0 {
		t.Errorf("again: %d changed, %v", n, err)
	}
	for _, text := range []string{"", "root", "1", "1:", ":1", "-1:1", "1:x"} {
		if _, _, err := parseOwner(text); err == nil {
			t.Errorf("%q is an owner", text)
		}
	}
}
