package tree

import (
	"path"
	"slices"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// names is where the inodes that the kernel knows are in the tree, for the log. It
// is as large as the kernel's own cache of names, and shrinks with it.
type names struct {
	mu     sync.Mutex
	places map[uint64]*place
}

type place struct {
	parent  uint64
	name    string
	lookups uint64
	failed  bool
}

func newNames() *names { return &names{places: map[uint64]*place{fuse.FUSE_ROOT_ID: {}}} }

// add notes one more lookup of a node. A file with several names keeps the first.
func (n *names) add(node, parent uint64, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.places[node]
	if p == nil {
		p = &place{parent: parent, name: name}
		n.places[node] = p
	}
	p.lookups++
}

func (n *names) forget(node, lookups uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.places[node]
	if p == nil || node == fuse.FUSE_ROOT_ID {
		return
	}
	if p.lookups -= min(lookups, p.lookups); p.lookups == 0 {
		delete(n.places, node)
	}
}

// failed returns the path of a node, and whether it is the first time that somebody
// asks for it.
func (n *names) failed(node uint64) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.places[node]
	if p == nil || p.failed {
		return "", false
	}
	p.failed = true
	var parts []string
	// A damaged image may have directories that hold each other.
	for ; node != fuse.FUSE_ROOT_ID && len(parts) < 1000; node = p.parent {
		if p = n.places[node]; p == nil {
			parts = append(parts, "...") // the kernel has forgotten the directory
			break
		}
		parts = append(parts, p.name)
	}
	slices.Reverse(parts)
	return "/" + path.Join(parts...), true
}
