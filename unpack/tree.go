package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A kind is what stands at a name of the tree.
type kind uint8

const (
	nothing kind = iota
	regular
	directory
	symlink // will stand there at the end
)

// attributes are what is kept of an entry's.
type attributes struct {
	mode  fs.FileMode // permissions
	mtime time.Time   // zero: none
}

// A tree is a directory that is being filled. Its methods belong to one goroutine,
// except for write.
type tree struct {
	root *os.Root
	opts Options
	// exact are the permissions that new files get as they ask for them.
	exact  fs.FileMode
	places *places

	entries int
	bytes   atomic.Int64 // written
	kinds   map[string]kind
	dirs    map[string]attributes // of directories that entries describe
	links   map[string]string     // targets of symbolic links
	buffers sync.Pool
}

const bufferSize = 256 << 10

func newTree(root *os.Root, exact fs.FileMode, o Options) *tree {
	t := &tree{root: root, exact: exact, places: newPlaces(root), opts: o, kinds: map[string]kind{".": directory}, dirs: map[string]attributes{}, links: map[string]string{}}
	t.buffers.New = func() any { return new([bufferSize]byte) }
	return t
}

// entry counts one of the archive.
func (t *tree) entry() error {
	if t.entries++; t.entries > t.opts.MaxEntries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, t.opts.MaxEntries)
	}
	return nil
}

// room says whether there is any for n bytes more.
func (t *tree) room(n int64) error {
	if n < 0 || n > t.opts.MaxBytes-t.bytes.Load() {
		return fmt.Errorf("%w: it unpacks to more than %d bytes", ErrLimit, t.opts.MaxBytes)
	}
	return nil
}

// dir notes a directory that an entry describes.
func (t *tree) dir(name string, a attributes) error {
	if err := t.mkdir(name); err != nil {
		return err
	}
	t.dirs[name] = a
	return nil
}

// mkdir makes a directory and those above it, which no entry need describe.
func (t *tree) mkdir(name string) error {
	switch t.kinds[name] {
	case directory:
		return nil
	case nothing:
	default:
		return malformed("%q is a directory and something else", short(name))
	}
	if err := t.mkdir(path.Dir(name)); err != nil {
		return err
	}
	t.kinds[name] = directory
	return t.root.Mkdir(name, 0o755)
}

// put makes way for something at name.
func (t *tree) put(name string, k kind) error {
	if err := t.mkdir(path.Dir(name)); err != nil {
		return err
	}
	was := t.kinds[name]
	t.kinds[name] = k
	switch was {
	case directory:
		return malformed("%q is a directory and something else", short(name))
	case regular:
		return t.root.Remove(name)
	case symlink:
		delete(t.links, name)
	case nothing:
	}
	return nil
}

// link notes a symbolic link, which is made at the end.
func (t *tree) link(name, target string) error {
	if err := checkTarget(name, target); err != nil {
		return err
	}
	if err := t.put(name, symlink); err != nil {
		return err
	}
	t.links[name] = target
	return nil
}

// hardLink makes name another one of what old names, which is there.
func (t *tree) hardLink(name, old string) error {
	switch {
	case t.kinds[old] == symlink:
		return t.link(name, t.links[old])
	case t.kinds[old] != regular || name == old:
		return malformed("the hard link %q names %q, which is no earlier file of the archive", short(name), short(old))
	}
	if err := t.put(name, regular); err != nil {
		return err
	}
	return t.root.Link(old, name)
}

// write makes a file, for whose name put has made way, of what r holds.
func (t *tree) write(name string, a attributes, r io.Reader) error {
	return t.places.in(name, func(dir *os.Root, base string) error {
		f, err := dir.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, a.mode)
		if err != nil {
			return err
		}
		if err = t.fill(f, r); err != nil {
			err = fmt.Errorf("%q: %w", short(name), err)
		}
		if err == nil && a.mode&^t.exact != 0 {
			err = f.Chmod(a.mode)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		return stamp(dir, base, a)
	})
}

// fill copies r to f, in as few writes as there can be. What r fails with is the
// archive's fault, or the source's, which remembers.
func (t *tree) fill(f *os.File, r io.Reader) error {
	buf := t.buffers.Get().(*[bufferSize]byte)
	defer t.buffers.Put(buf)
	for {
		n := 0
		var err error
		for n < len(buf) && err == nil {
			var k int
			k, err = r.Read(buf[n:])
			n += k
		}
		if n > 0 {
			if full := t.room(int64(n)); full != nil {
				return full
			}
			t.bytes.Add(int64(n))
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return malformed("%w", err)
		}
	}
}

// stamp sets the time of a file or directory. Those that no file system has are left.
func stamp(dir *os.Root, name string, a attributes) error {
	if y := a.mtime.Year(); y < 1902 || y > 2261 {
		return nil
	}
	return dir.Chtimes(name, time.Time{}, a.mtime)
}

// finish makes the symbolic links, and then gives all directories their attributes,
// the deepest first: root's to those that no entry describes.
func (t *tree) finish(root attributes) error {
	for _, name := range slices.Sorted(maps.Keys(t.links)) {
		if err := t.root.Symlink(t.links[name], name); err != nil {
			return err
		}
	}
	if _, ok := t.dirs["."]; !ok {
		t.dirs["."] = root
	}
	names := slices.Sorted(maps.Keys(t.dirs))
	for _, name := range slices.Backward(names) {
		a := t.dirs[name]
		if err := t.root.Chmod(name, a.mode); err != nil {
			return err
		}
		if err := stamp(t.root, name, a); err != nil {
			return err
		}
	}
	return nil
}
