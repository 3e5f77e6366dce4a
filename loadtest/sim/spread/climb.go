package spread

import (
	"github.com/zonecache/cached/placement"
)

// climb has every host ask its parent in a tree for each block, in the image's
// order; the root asks the origin. A parent that has not asked for it does so.
type climb struct {
	*sim
	plain
	parent func(h *host, b int) *host // nil: it reads the origin
	leave  func(dead *host)           // the tree is mended
	next   []int                      // of each host: the first block not asked for
}

// climbOut is how many blocks a host asks for at a time, as a reader of the
// product does; climbPlaces is how many sends share its uplink
// (docs/adr/0012-function-tree.md).
const (
	climbOut    = 16
	climbPlaces = 16
)

func newClimb(s *sim) *climb {
	for _, h := range s.hosts {
		h.active = climbPlaces
	}
	return &climb{sim: s, next: make([]int, len(s.hosts))}
}

// newFunctionTree is FaaSNet's (Wang et al., USENIX ATC 2021, section 3): one
// balanced binary tree for an image, a node fetches blocks on demand from its
// parent, which passes them on, and only the root reads the registry. The tree is
// the product's own; hosts join in a random order.
func newFunctionTree(s *sim) protocol {
	c, tree := newClimb(s), placement.NewTree()
	for _, i := range s.rng.Perm(len(s.hosts)) {
		if s.hosts[i].reader {
			tree.Join(s.hosts[i].name)
		}
	}
	c.parent = func(h *host, _ int) *host {
		name, _ := tree.Parent(h.name)
		return s.byName[name]
	}
	c.leave = func(dead *host) {
		for _, change := range tree.Leave(dead.name) {
			// Who has moved asks its new parent for everything: what its old one sends may
			// come from below its new place.
			if moved := s.byName[change.Node]; !moved.dead {
				for _, x := range moved.coming {
					c.fetch(x)
				}
			}
		}
	}
	return c
}

// newDADI is DADI's (Li et al., USENIX ATC 2020, section 4.5): a tree for each
// layer, made by dedicated root nodes, which alone read the registry; each node
// passes on what it has. The paper does not say how many children a node has: two
// are the least that make a tree, and so the fastest over full links. Two roots
// with links as fast as the hosts' share the hosts. Whose parent is dead asks that
// one's parent.
func newDADI(s *sim) protocol {
	const roots, children = 2, 2
	c := newClimb(s)
	var root [roots]*host
	for r := range root {
		root[r] = s.host(len(s.hosts)+r, "root", s.Rate/8e9)
		root[r].active = climbPlaces
	}
	layers := s.layerOf()
	order := make([][]int, layers[len(layers)-1]+1) // of the readers, for each layer
	place := make([][]int, len(order))
	for l := range order {
		place[l] = make([]int, len(s.hosts))
		for _, i := range s.rng.Perm(len(s.hosts)) {
			if s.hosts[i].reader {
				place[l][i] = len(order[l])
				order[l] = append(order[l], i)
			}
		}
	}
	c.parent = func(h *host, b int) *host {
		if h.i >= len(s.hosts) {
			return nil
		}
		// One after the other below each root: root r has the places r, r+roots, ...
		layer := layers[b]
		at := place[layer][h.i]
		for {
			r, k := at%roots, at/roots
			if k < children {
				return root[r]
			}
			at = (k/children-1)*roots + r
			if up := s.hosts[order[layer][at]]; !up.knownDead {
				return up
			}
		}
	}
	return c
}

// layerOf returns the layer of each block.
func (s *sim) layerOf() []int {
	sizes := s.layers()
	of, layer, end, at := make([]int, len(s.Sizes)), 0, int64(sizes[0]), int64(0)
	for b, n := range s.Sizes {
		for at >= end && layer < len(sizes)-1 {
			layer++
			end += int64(sizes[layer])
		}
		of[b] = layer
		at += int64(n)
	}
	return of
}

func (c *climb) start(h *host) {
	for len(h.coming) < climbOut && c.next[h.i] < len(c.Sizes) {
		b := c.next[h.i]
		c.next[h.i]++
		if h.at[b] == absent {
			c.fetch(h.await(b))
		}
	}
}

func (c *climb) fetch(x *arrival) {
	up := c.parent(x.host, x.block)
	if up == nil {
		c.readOrigin(x)
		return
	}
	c.askParent(x, up)
}

func (c *climb) askParent(x *arrival, up *host) {
	x.asked, x.source = up, nil
	x.ask++
	c.messages++
	ask := x.ask
	c.message(func() {
		if up.dead || !x.waits(ask) {
			return
		}
		if up.at[x.block] == absent {
			c.fetch(up.await(x.block))
		}
		up.serve(x)
	})
}

func (c *climb) got(x *arrival) {
	if x.host.started {
		c.start(x.host)
	}
}

func (c *climb) died(dead *host) {
	if c.leave != nil {
		c.leave(dead)
	}
}

func (c *climb) lost(x *arrival) { c.fetch(x) }
