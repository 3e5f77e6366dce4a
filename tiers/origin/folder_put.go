package origin

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/zonecache/cached/block"
)

// tmpDir holds files until they are whole. It lies in the folder and not beside
// each file, so that what a crash left behind is found by one directory read.
const tmpDir = "tmp"

// leftoverAge is how old a file in tmpDir must be to be nobody's: far longer than
// the write of one object takes.
const leftoverAge = time.Hour

// put writes to a temporary file, syncs it, and renames it into place. A crash at
// any moment leaves the old object or the new one, and at most a file in tmpDir.
func (f *folder) put(ctx context.Context, key string, data []byte, named naming) error {
	if err := f.prepare(); err != nil {
		return f.explain(err)
	}
	err := f.in(ctx, func(root *openFolder) error {
		tmp := tmpDir + "/" + rand.Text()
		err := writeSynced(root, tmp, data)
		if err == nil && named == byName {
			err = syncNames(root)
		}
		if err == nil {
			err = renameInto(root, tmp, key)
		}
		if err == nil && named == byName {
			err = syncDirs(root, path.Dir(key), ".")
		}
		if err != nil {
			_ = root.Remove(tmp) // best effort: the sweep takes what stays
			return notMissing(err)
		}
		return nil
	})
	moved := int64(len(data))
	if err != nil {
		moved = 0
	}
	f.observe(OpPut, moved)
	return err
}

// prepare makes the folder (not its parents: they may be a mount that is
// missing) and removes leftovers, once.
func (f *folder) prepare() error {
	if err := os.Mkdir(f.path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	root, err := f.dir()
	if err != nil {
		return err
	}
	if !f.swept.Swap(true) {
		sweep(root)
	}
	return nil
}

// sweep removes old temporary files. What it cannot remove does no harm.
func sweep(root *openFolder) {
	d, err := root.Open(tmpDir)
	if err != nil {
		return
	}
	defer d.Close()
	files, _ := d.ReadDir(-1)
	for _, e := range files {
		if st, err := e.Info(); err == nil && time.Since(st.ModTime()) > leftoverAge {
			_ = root.Remove(tmpDir + "/" + e.Name())
		}
	}
}

func writeSynced(root *openFolder, name string, data []byte) error {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	file, err := root.OpenFile(name, flags, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if err = root.MkdirAll(path.Dir(name), 0o755); err == nil {
			file, err = root.OpenFile(name, flags, 0o644)
		}
	}
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		// Else a power failure after the rename can leave a whole name on half
		// a file. Costs 0.6 ms for 256 KiB on NVMe, less with writers in parallel.
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func renameInto(root *openFolder, tmp, key string) error {
	err := root.Rename(tmp, key)
	if errors.Is(err, fs.ErrNotExist) {
		if err = root.MkdirAll(path.Dir(key), 0o755); err == nil {
			err = root.Rename(tmp, key)
		}
	}
	return err
}

// syncNames makes the names of all manifests and blocks durable, whoever wrote
// them: a ref that stands for them is about to move.
func syncNames(root *openFolder) error {
	dirs := []string{"manifests", "blocks"}
	d, err := root.Open("blocks")
	if errors.Is(err, fs.ErrNotExist) {
		return syncDirs(root, dirs...)
	} else if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, n := range names {
		dirs = append(dirs, "blocks/"+n)
	}
	return syncDirs(root, dirs...)
}

func syncDirs(root *openFolder, names ...string) error {
	for _, name := range names {
		d, err := root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if err = errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

// notMissing keeps a write's "no such file" from reading as a missing object.
func notMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(block.ErrUnavailable, errors.New(err.Error()))
	}
	return err
}
