package peer

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecache/cached/placement"
)

const (
	maxRegistered = 1024            // trees a node is the registrar of
	memberFor     = 5 * time.Second // a node that has not renewed for so long is no longer in the tree
	sweepEvery    = 500 * time.Millisecond
)

// A registry holds the trees of the images this node is the registrar of. They
// are soft: lost with the process, made again by those who join.
type registry struct {
	mu    sync.Mutex
	trees *simplelru.LRU[string, *registered] // by image; those longest unused are forgotten
}

type registered struct {
	tree    *placement.Tree
	renewed map[string]time.Time // when each of its nodes was last heard of
	swept   time.Time
}

func newRegistry() *registry {
	trees, err := simplelru.NewLRU[string, *registered](maxRegistered, nil)
	if err != nil {
		panic(err) // maxRegistered is not positive
	}
	return &registry{trees: trees}
}

// join returns the node's seat in the image's tree, which it takes if it has
// none. lost is a parent that fails the node: it leaves the tree, and if it lives
// it comes back as a leaf, on which nobody depends. Only its own children can say so.
func (r *registry) join(image, node, lost string, member func(string) bool) placement.Seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	t, ok := r.trees.Get(image)
	if !ok {
		t = &registered{tree: placement.NewTree(), renewed: map[string]time.Time{}, swept: now}
		r.trees.Add(image, t)
	}
	t.sweep(now, member)
	if parent, ok := t.tree.Parent(node); ok && lost != "" && parent == lost {
		t.leave(lost)
	}
	t.tree.Join(node)
	t.renewed[node] = now
	seat, _ := t.tree.Seat(node)
	return seat
}

func (r *registry) leave(image, node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.trees.Peek(image)
	if !ok {
		return
	}
	if t.leave(node); t.tree.Len() == 0 {
		r.trees.Remove(image)
	}
}

func (t *registered) leave(node string) {
	t.tree.Leave(node)
	delete(t.renewed, node)
}

// sweep removes the nodes that have not renewed or are no longer in the zone.
func (t *registered) sweep(now time.Time, member func(string) bool) {
	if now.Sub(t.swept) < sweepEvery {
		return
	}
	t.swept = now
	var gone []string
	for node, renewed := range t.renewed {
		if now.Sub(renewed) > memberFor || !member(node) {
			gone = append(gone, node)
		}
	}
	slices.Sort(gone) // the map's order must not show
	for _, node := range gone {
		t.leave(node)
	}
}

// A TreeStatus says what a node knows of one image's tree.
type TreeStatus struct {
	Image  string
	Joined bool           // this node is in the tree
	Seat   placement.Seat // if so
	Nodes  int            // in the tree, where this node is its registrar
	Height int            // of the tree, likewise
}

// status adds the trees of the registry that have nodes.
func (r *registry) status(all map[string]TreeStatus, member func(string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, image := range r.trees.Keys() {
		t, ok := r.trees.Peek(image)
		if !ok {
			continue
		}
		if t.sweep(now, member); t.tree.Len() == 0 {
			r.trees.Remove(image)
		} else {
			s := all[image]
			s.Image, s.Nodes, s.Height = image, t.tree.Len(), t.tree.Height()
			all[image] = s
		}
	}
}

func sortedStatus(all map[string]TreeStatus) []TreeStatus {
	list := make([]TreeStatus, 0, len(all))
	for _, s := range all {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b TreeStatus) int { return cmp.Compare(a.Image, b.Image) })
	return list
}
