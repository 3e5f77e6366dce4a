package rootfs

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	nameMax  = 255                    // bytes of one name: EROFS_NAME_LEN and NAME_MAX
	pathMax  = 4096                   // bytes of a path or link target: PATH_MAX
	depthMax = 4096                   // directories below each other, reached through symbolic links
	fileMax  = maxBlocks << blockBits // bytes of a file: what an image can address, and a bound on what a sparse archive may unfold to
	linkMax  = 40                     // symbolic links followed for one path: the kernel's MAXSYMLINKS
)

// An inode is one file system object. A million of them must fit, so what only
// few need is in more.
type inode struct {
	parent  *inode // with name: the first place it was put at; in an image, its first path
	name    string
	more    *more
	mtime   int64 // seconds
	size    int64 // regular: content; symlink: target; directory: entries as laid out
	at      int64 // where its source finds the content
	mtimeNs uint32
	uid     uint32
	gid     uint32
	nlink   uint32 // counted by the layout
	rdev    uint32 // device nodes, as the kernel encodes them
	block   uint32 // first block of content, set by the layout
	slot    uint32 // position in 32-byte slots (the nid), set by the layout
	mode    uint16 // type and permissions as in stat(2)
	source  uint16 // index in Builder.sources
}

type more struct {
	names    map[string]entry // directory, while layers are added
	hiddenAt uint32           // directory: the last layer that hid what lower ones put there
	sorted   []dirent         // directory, once laid out: with "." and ".."
	tail     int              // directory: index in sorted of the first entry of the inline tail
	inline   bool             // entries or target stand behind the inode
	xattrs   []xattr
	target   string
	holes    *holes
}

// An entry is a name in a directory; the layer decides what whiteouts hide.
type entry struct {
	ino   *inode
	layer uint32
}

func (ino *inode) isType(t uint16) bool { return ino.mode&unix.S_IFMT == t }
func (ino *inode) isDir() bool          { return ino.isType(unix.S_IFDIR) }

// ext returns the part of ino that few inodes need, making it.
func (ino *inode) ext() *more {
	if ino.more == nil {
		ino.more = &more{}
	}
	return ino.more
}

func (ino *inode) xattrs() []xattr {
	if ino.more == nil {
		return nil
	}
	return ino.more.xattrs
}

func (ino *inode) holes() *holes {
	if ino.more == nil {
		return nil
	}
	return ino.more.holes
}

// path returns where ino was first put, relative to the root ("." for the root).
func (ino *inode) path() string {
	if ino.parent == nil {
		return "."
	}
	var parts []string
	for i := ino; i.parent != nil; i = i.parent {
		parts = append(parts, i.name)
	}
	var s strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		s.WriteString(parts[i])
		if i > 0 {
			s.WriteByte('/')
		}
	}
	return s.String()
}

// A tree is what the layers so far amount to.
type tree struct {
	root  *inode
	layer uint32 // the layer being added, from 1

	stack []*inode // scratch of dir: the directories down to where it is
	todo  []string // scratch of dir: the names still to walk, last first
}

func (t *tree) init() { t.root = newDir(nil, "") }

// newDir returns a directory that no layer describes.
func newDir(parent *inode, name string) *inode {
	return &inode{parent: parent, name: name, mode: unix.S_IFDIR | 0o755, more: &more{names: map[string]entry{}}}
}

// A lookup says what becomes of directories on the way that do not exist.
type lookup uint8

const (
	findOnly lookup = iota
	makeMissing
)

// dir walks to the directory that p names, following symbolic links as a process
// with the tree as its root would: absolute targets start at the root, and ".."
// stops there. Without makeMissing a directory that does not exist is nil.
func (t *tree) dir(p string, how lookup) (*inode, error) {
	stack := append(t.stack[:0], t.root)
	todo := pending(t.todo[:0], p)
	defer func() { t.stack, t.todo = stack, todo }()
	followed := 0
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		cur := stack[len(stack)-1]
		if name == ".." {
			stack = stack[:max(len(stack)-1, 1)]
			continue
		}
		e, ok := cur.more.names[name]
		switch {
		case !ok && how == findOnly:
			return nil, nil
		case !ok:
			if len(name) > nameMax {
				return nil, fmt.Errorf("%w: directory name of %d bytes, at most %d", ErrMalformed, len(name), nameMax)
			}
			name = strings.Clone(name) // p may be long, and would live as long as the name
			e = entry{newDir(cur, name), t.layer}
			cur.more.names[name] = e
		case e.ino.isType(unix.S_IFLNK):
			if followed++; followed > linkMax {
				return nil, fmt.Errorf("%w: more than %d symbolic links on the way to %q", ErrMalformed, linkMax, p)
			}
			target := e.ino.more.target
			if path.IsAbs(target) {
				stack = stack[:1]
			}
			todo = pending(todo, target)
			continue
		case !e.ino.isDir():
			return nil, fmt.Errorf("%w: %q on the way to it is not a directory", ErrMalformed, e.ino.path())
		}
		if len(stack) >= depthMax {
			return nil, fmt.Errorf("%w: more than %d directories below each other", ErrMalformed, depthMax)
		}
		stack = append(stack, e.ino)
	}
	return stack[len(stack)-1], nil
}

// pending pushes the components of p, so that the first is taken first.
func pending(todo []string, p string) []string {
	for p != "" {
		i := strings.LastIndexByte(p, '/')
		if name := p[i+1:]; name != "" && name != "." {
			todo = append(todo, name)
		}
		p = p[:max(i, 0)]
	}
	return todo
}

// put places ino at name in dir, in the layer being added. A directory over a
// directory changes its attributes and keeps what it holds; anything else
// replaces what was there.
func (t *tree) put(dir *inode, name string, ino *inode) {
	if old, ok := dir.more.names[name]; ok && old.ino.isDir() && ino.isDir() {
		old.ino.describe(ino)
		dir.more.names[name] = entry{old.ino, t.layer}
		return
	}
	name = strings.Clone(name) // it is a part of a path, which need not stay
	if ino.parent == nil {
		ino.parent, ino.name = dir, name
	}
	dir.more.names[name] = entry{ino, t.layer}
}

// describe gives a directory the attributes of another.
func (ino *inode) describe(from *inode) {
	ino.mode, ino.uid, ino.gid = from.mode, from.uid, from.gid
	ino.mtime, ino.mtimeNs = from.mtime, from.mtimeNs
	ino.more.xattrs = from.xattrs()
}
