package rootfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Whiteouts of the OCI image specification (layer.md), inherited from AUFS: an
// entry that stands for the absence of what lower layers put there.
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh." // AUFS's own bookkeeping, never content
	whiteoutOpaque = ".wh..wh..opq"
)

// A role is what an entry of a layer is for.
type role uint8

const (
	content    role = iota
	removal         // ".wh.name": hide name
	opaque          // hide everything lower layers put into the directory
	bookkeeper      // left out
)

// roleOf classifies the cleaned path of an entry.
func roleOf(p string) (role, error) {
	rest := p
	for rest != "" {
		name, below, deeper := strings.Cut(rest, "/")
		rest = below
		if !strings.HasPrefix(name, whiteoutPrefix) {
			continue
		}
		hidden := name[len(whiteoutPrefix):]
		switch {
		case !deeper && name == whiteoutOpaque:
			return opaque, nil
		case strings.HasPrefix(name, whiteoutMeta):
			return bookkeeper, nil
		case deeper:
			return content, fmt.Errorf("%w: the entry lies below a whiteout", ErrMalformed)
		case hidden == "" || hidden == "." || hidden == "..":
			return content, fmt.Errorf("%w: whiteout of %q", ErrMalformed, hidden)
		}
		return removal, nil
	}
	return content, nil
}

// hide removes what lower layers put at name in dir. What the layer being added
// has put there stays, whatever the order of its entries: a whiteout speaks only
// about lower layers.
func (t *tree) hide(dir *inode, name string) {
	e, ok := dir.more.names[name]
	if !ok {
		return
	}
	if e.ino.isDir() {
		t.hideAll(e.ino)
		if len(e.ino.more.names) > 0 && e.layer < t.layer {
			// The lower directory is gone; the one that holds this layer's
			// entries is a new one which no layer has described yet.
			e.ino.describe(&inode{mode: unix.S_IFDIR | 0o755})
			e.layer = t.layer
			dir.more.names[name] = e
		}
	}
	if e.layer < t.layer {
		delete(dir.more.names, name)
	}
}

// hideAll removes everything lower layers put into dir.
func (t *tree) hideAll(dir *inode) {
	if dir.more.hiddenAt == t.layer {
		return // what is there now is this layer's; an archive may repeat itself a million times
	}
	dir.more.hiddenAt = t.layer
	for name := range dir.more.names {
		t.hide(dir, name)
	}
}
