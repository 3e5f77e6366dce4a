package rootfs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/testtool"
)

// TestGNUTarArchives reads what another tar writes, in each of its formats, with
// sparse files in the three ways it knows.
func TestGNUTarArchives(t *testing.T) {
	tarPath := testtool.Debian(t, "tar")
	dir := t.TempDir()
	makeTree(t, dir, treeNames)
	// Formats before POSIX.1-2001 hold whole seconds only.
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.Lutimes(p, []unix.Timeval{{}, {Sec: 1_600_000_000}})
	})
	if err != nil {
		t.Fatal(err)
	}
	want := digest(t, fromDir(t, dir, Options{}))
	for _, c := range []struct {
		name string
		args []string
	}{
		{"gnu", []string{"--format=gnu"}},
		{"posix", []string{"--format=posix"}},
		{"gnu sparse", []string{"--format=gnu", "--sparse"}},
		{"posix sparse 0.0", []string{"--format=posix", "--sparse", "--sparse-version=0.0"}},
		{"posix sparse 0.1", []string{"--format=posix", "--sparse", "--sparse-version=0.1"}},
		{"posix sparse 1.0", []string{"--format=posix", "--sparse", "--sparse-version=1.0"}},
		{"absolute names", []string{"--format=gnu", "--absolute-names", "--transform=flags=rh;s,^\\./*,/,"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), tarPath, append(c.args, "-C", dir, "-c", ".")...)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			layer, err := cmd.Output()
			if err != nil {
				t.Fatalf("tar: %v\n%s", err, errs.Bytes())
			}
			img := fromLayers(t, layer)
			same(t, dir, open(t, toFile(t, img)))
			if digest(t, img) != want {
				t.Error("the archive and the directory make different images")
			}
		})
	}
}
