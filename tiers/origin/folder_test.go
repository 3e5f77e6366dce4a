package origin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func containsFold(s, sub string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(sub))
}

func TestFolderContract(t *testing.T) {
	testContract(t, func(t *testing.T) string { return "file://" + t.TempDir() })
}

func TestFolderThatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "origin")
	o := open(t, Options{}, "file://"+dir)
	checkUnavailable(t, o, "no directory "+dir)

	b := blocktest.Block(1, 1000)
	defer b.Release()
	mustPut(t, o, b) // publishing makes the folder
	blocktest.CheckRead(t, o, b, block.Origin)

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	checkUnavailable(t, o, "no directory "+dir)

	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	blocktest.CheckError(t, o, b.ID(), block.ErrNotFound)
	mustPut(t, o, b)
	blocktest.CheckRead(t, o, b, block.Origin)
}

// A new file system mounted over the folder, or another folder moved into its
// place, is followed without a restart.
func TestFolderThatIsReplaced(t *testing.T) {
	base := t.TempDir()
	dir, other := filepath.Join(base, "a"), filepath.Join(base, "b")
	old, fresh := blocktest.Block(1, 1000), blocktest.Block(2, 1000)
	defer old.Release()
	defer fresh.Release()
	o := open(t, Options{}, "file://"+dir)
	mustPut(t, o, old)
	mustPut(t, open(t, Options{}, "file://"+other), fresh)
	blocktest.CheckRead(t, o, old, block.Origin)
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Rename(other, dir)); err != nil {
		t.Fatal(err)
	}
	blocktest.CheckRead(t, o, fresh, block.Origin)
	blocktest.CheckError(t, o, old.ID(), block.ErrNotFound)
}

func TestFolderWithoutItsParent(t *testing.T) {
	o := open(t, Options{}, "file://"+filepath.Join(t.TempDir(), "missing", "mount"))
	b := blocktest.Block(1, 1000)
	defer b.Release()
	err := o.PutBlock(context.Background(), b)
	if !errors.Is(err, block.ErrUnavailable) {
		t.Fatalf("PutBlock: %v", err)
	}
	checkSays(t, "PutBlock", err, "no directory")
}

func TestFolderThatIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	checkUnavailable(t, open(t, Options{}, "file://"+path), "not a directory")
}

// Root reads everything, so the permission is taken away by dropping to another
// user on this thread, which then ends with the goroutine.
func TestFolderThatMayNotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	}
	f := newFolder(dir, func(string, int64) {})
	defer f.close()
	asNobody(t, func() {
		err := f.check(context.Background())
		if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrNotFound) {
			t.Errorf("check: %v", err)
		}
		checkSays(t, "check", err, "permission denied")
		_, err = f.get(context.Background(), "blocks/00/x", 1, func(int) []byte { return nil })
		checkSays(t, "get", err, "permission denied")
		err = f.put(context.Background(), "refs/x", nil, byName)
		checkSays(t, "put", err, "permission denied")
	})
}

func TestFolderOddFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	place := func(id block.ID, create func(path string) error) {
		path := filepath.Join(dir, blockKey(id))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), create(path)); err != nil {
			t.Fatal(err)
		}
	}
	o := open(t, Options{}, "file://"+dir)
	tests := []struct {
		name   string
		create func(path string) error
		want   error
	}{
		{"a directory", func(p string) error { return os.Mkdir(p, 0o755) }, block.ErrCorrupt},
		{"a FIFO", func(p string) error { return syscall.Mkfifo(p, 0o644) }, block.ErrCorrupt},
		{"a link that leads out", func(p string) error { return os.Symlink(secret, p) }, block.ErrUnavailable},
		{"a relative link that leads out", func(p string) error { return os.Symlink("../../../../../etc/passwd", p) }, block.ErrUnavailable},
		{"a link to nothing", func(p string) error { return os.Symlink("nothing", p) }, block.ErrNotFound},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := block.ID{byte(i)}
			place(id, tt.create)
			blocktest.CheckError(t, o, id, tt.want)
		})
	}
}

func TestFolderFullDisk(t *testing.T) {
	f := newFolder(t.TempDir(), func(string, int64) {})
	err := f.explain(&os.PathError{Op: "write", Path: "tmp/x", Err: syscall.ENOSPC})
	if !errors.Is(err, block.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	checkSays(t, "ENOSPC", err, "no space left")
}

func TestFolderLeftoversOfACrash(t *testing.T) {
	dir := t.TempDir()
	tmp := filepath.Join(dir, tmpDir)
	old, young := filepath.Join(tmp, "old"), filepath.Join(tmp, "young")
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.WriteFile(old, []byte("x"), 0o644), os.WriteFile(young, []byte("x"), 0o644),
		os.Chtimes(old, time.Time{}, time.Now().Add(-2*leftoverAge))); err != nil {
		t.Fatal(err)
	}
	o := open(t, Options{}, "file://"+dir)
	if refs, err := o.Refs(context.Background()); err != nil || len(refs) != 0 {
		t.Fatalf("refs %v, %v", refs, err)
	}
	if err := o.PutRef(context.Background(), "a", block.ID{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("old leftover: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("another writer's file: %v", err)
	}
}

// A file cut short by a power failure has the wrong length and is written anew.
func TestFolderRepairsAShortFile(t *testing.T) {
	dir := t.TempDir()
	b := blocktest.Block(1, 10_000)
	defer b.Release()
	o := open(t, Options{}, "file://"+dir)
	mustPut(t, o, b)
	if err := os.Truncate(filepath.Join(dir, blockKey(b.ID())), 100); err != nil {
		t.Fatal(err)
	}
	if ok, err := o.HasBlock(context.Background(), b.ID(), 10_000); ok || err != nil {
		t.Fatalf("HasBlock: %v, %v", ok, err)
	}
	mustPut(t, o, b)
	blocktest.CheckRead(t, o, b, block.Origin)
}

func TestFolderRefIsNeverHalfWritten(t *testing.T) {
	ctx := context.Background()
	o := open(t, Options{}, "file://"+t.TempDir())
	if err := o.PutRef(ctx, "a", block.ID{}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				if err := o.PutRef(ctx, "a", block.ID{byte(w), byte(i)}); err != nil {
					t.Errorf("write: %v", err)
				}
				if _, err := o.Ref(ctx, "a"); err != nil {
					t.Errorf("read: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
