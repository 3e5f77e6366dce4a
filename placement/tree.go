package placement

import (
	"fmt"
	"math/bits"
)

// A Tree is FaaSNet's Function Tree (USENIX ATC 2021): the nodes that start one
// image form a binary tree, all alike; each reads the image's blocks from its
// parent and only the root reads upstream. The tree balances itself: at every
// node the heights of the two subtrees differ by at most one.
//
// FaaSNet rotates subtrees to restore the balance after a node has left. Its
// nodes have no order, however, so the shape can be kept complete instead: a node
// that joins becomes the next leaf in breadth-first order, and the last leaf
// moves into the place of one that leaves. That is a rotation of three parents at
// most (of the leaf that moves and of the two children it takes over), where rotations
// along the path are up to log2(n); what moves is a leaf, on which nobody depends.
//
// A Tree is not safe for concurrent use.
type Tree struct {
	nodes []string       // breadth first: the children of i are 2i+1 and 2i+2
	place map[string]int // index into nodes
}

// A Change is a node's new parent; "" makes it the root, which reads upstream.
type Change struct{ Node, Parent string }

// NewTree returns a tree without nodes.
func NewTree() *Tree { return &Tree{place: make(map[string]int)} }

// Join adds a node as a leaf and returns its parent as the only change. A node
// that has joined already stays where it is: there is no change.
func (t *Tree) Join(node string) []Change {
	if _, ok := t.place[node]; ok {
		return nil
	}
	t.place[node] = len(t.nodes)
	t.nodes = append(t.nodes, node)
	return []Change{t.change(len(t.nodes) - 1)}
}

// Leave removes a node, whether it has left or failed, and returns who has a new
// parent, at most three. A node that is not in the tree changes nothing.
func (t *Tree) Leave(node string) []Change {
	at, ok := t.place[node]
	if !ok {
		return nil
	}
	last := len(t.nodes) - 1
	moved := t.nodes[last]
	t.nodes[last] = ""
	t.nodes = t.nodes[:last]
	delete(t.place, node)
	if at == last {
		return nil
	}
	t.nodes[at], t.place[moved] = moved, at
	changes := []Change{t.change(at)}
	for child := 2*at + 1; child <= 2*at+2 && child < last; child++ {
		changes = append(changes, t.change(child))
	}
	return changes
}

func (t *Tree) change(i int) Change {
	c := Change{Node: t.nodes[i]}
	if i > 0 {
		c.Parent = t.nodes[(i-1)/2]
	}
	return c
}

// Parent returns the node's parent, "" for the root; false when the node is not
// in the tree.
func (t *Tree) Parent(node string) (string, bool) {
	at, ok := t.place[node]
	if !ok {
		return "", false
	}
	return t.change(at).Parent, true
}

// A Seat is a node's place in a tree.
type Seat struct {
	Parent string // "": the node is the root
	Level  int    // how many nodes the way to the root has before it; 0: the node is the root
}

// Seat returns the node's place; false when it is not in the tree.
func (t *Tree) Seat(node string) (Seat, bool) {
	at, ok := t.place[node]
	if !ok {
		return Seat{}, false
	}
	return Seat{Parent: t.change(at).Parent, Level: bits.Len(uint(at+1)) - 1}, true
}

// Children returns the node's children, at most two.
func (t *Tree) Children(node string) []string {
	at, ok := t.place[node]
	if !ok {
		return nil
	}
	first := min(2*at+1, len(t.nodes))
	return append([]string(nil), t.nodes[first:min(first+2, len(t.nodes))]...)
}

// Root returns the node that reads upstream; false when there is none.
func (t *Tree) Root() (string, bool) {
	if len(t.nodes) == 0 {
		return "", false
	}
	return t.nodes[0], true
}

// Len returns the number of nodes.
func (t *Tree) Len() int { return len(t.nodes) }

// Height returns the number of nodes on the longest way from the root: 0 for an
// empty tree, 1 for a root alone, else floor(log2(Len))+1.
func (t *Tree) Height() int { return bits.Len(uint(len(t.nodes))) }

// Check follows every node to the root and compares the heights of all subtrees.
// The error says what is wrong with the tree.
func (t *Tree) Check() error {
	if len(t.place) != len(t.nodes) {
		return fmt.Errorf("tree: %d places for %d nodes", len(t.place), len(t.nodes))
	}
	children := make(map[string][]string)
	for _, node := range t.nodes {
		parent, ok := t.Parent(node)
		if !ok || parent == node {
			return fmt.Errorf("tree: node %q has the parent %q", node, parent)
		}
		children[parent] = append(children[parent], node)
	}
	if roots := len(children[""]); roots != min(1, len(t.nodes)) {
		return fmt.Errorf("tree: %d roots of %d nodes", roots, len(t.nodes))
	}
	seen, height := 0, 0
	for _, root := range children[""] {
		var err error
		if height, err = checkSubtree(root, children, &seen); err != nil {
			return err
		}
	}
	if seen != len(t.nodes) {
		return fmt.Errorf("tree: %d of %d nodes reach the root", seen, len(t.nodes))
	}
	if height != t.Height() {
		return fmt.Errorf("tree: the height is %d, not %d", height, t.Height())
	}
	return nil
}

// checkSubtree returns the height of the subtree at node, adding its nodes to seen.
func checkSubtree(node string, children map[string][]string, seen *int) (int, error) {
	*seen++
	if len(children[node]) > 2 {
		return 0, fmt.Errorf("tree: node %q has %d children", node, len(children[node]))
	}
	var heights [2]int
	for i, child := range children[node] {
		h, err := checkSubtree(child, children, seen)
		if err != nil {
			return 0, err
		}
		heights[i] = h
	}
	if d := heights[0] - heights[1]; d < -1 || d > 1 {
		return 0, fmt.Errorf("tree: the subtrees of node %q have the heights %d and %d", node, heights[0], heights[1])
	}
	return 1 + max(heights[0], heights[1]), nil
}
