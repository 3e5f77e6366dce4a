package peer

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

const testImage = "flask:v1"

// A treeZone is a zone whose nodes distribute by trees.
type treeZone struct {
	*zone
	mu    sync.Mutex
	sits  int
	forge func(node, image string) (placement.Seat, bool) // what a registrar says
}

// A treeWire is one node's way to the registrars.
type treeWire struct {
	*treeZone
	node string
}

func newTreeZone(t *testing.T, nodes int) *treeZone {
	names := make([]string, nodes)
	for i := range names {
		names[i] = fmt.Sprintf("n%02d", i)
	}
	z := &treeZone{}
	t.Cleanup(func() { // once all are closed
		for _, n := range z.nodes {
			if free := n.tier.trees.sends.free; free != maxHandings {
				t.Errorf("%s: %d places of handings are free, want %d", n.name, free, maxHandings)
			}
		}
	})
	z.zone = newZone(t)
	z.names = names
	z.without()
	for _, name := range names {
		z.start(name, Options{Distribution: ByTree, Registrar: treeWire{z, name}})
	}
	return z
}

// without makes the ring of all nodes but these.
func (z *treeZone) without(dead ...string) {
	gone := map[string]bool{}
	for _, name := range dead {
		gone[name] = true
	}
	var members []placement.Member
	for _, name := range z.names {
		if !gone[name] {
			members = append(members, placement.Member{Name: name, Address: name, Weight: 100})
		}
	}
	z.ring.Store(ringOf(members))
}

func (w treeWire) reach(to string) error {
	for _, name := range []string{to, w.node} {
		select {
		case <-w.nodes[name].gone():
			return errCut
		default:
		}
	}
	return nil
}

func (w treeWire) JoinTree(_ context.Context, to placement.Member, image, lost string) (placement.Seat, error) {
	if err := w.reach(to.Name); err != nil {
		return placement.Seat{}, err
	}
	w.mu.Lock()
	w.sits++
	forge := w.forge
	w.mu.Unlock()
	if forge != nil {
		if seat, ok := forge(w.node, image); ok {
			return seat, nil
		}
	}
	return w.nodes[to.Name].tier.JoinTree(image, w.node, lost)
}

func (w treeWire) LeaveTree(_ context.Context, to placement.Member, image string) error {
	if err := w.reach(to.Name); err != nil {
		return err
	}
	w.nodes[to.Name].tier.LeaveTree(image, w.node)
	return nil
}

// slay ends a node as kill -9 does: nobody hears of it again, nor it of anybody.
func (z *treeZone) slay(name string) {
	z.kill(name)
	if err := z.nodes[name].tier.Close(); err != nil {
		z.t.Error(err)
	}
}

// reading returns a context of a read of the image.
func reading(image string) context.Context {
	return block.WithCall(context.Background(), block.Call{Image: image})
}

// all makes all nodes but these read all blocks, at once or in a different order
// each, and fails the test if a read fails.
func (z *treeZone) all(blocks []block.Block, dead ...string) {
	z.t.Helper()
	gone := map[string]bool{}
	for _, name := range dead {
		gone[name] = true
	}
	var wg sync.WaitGroup
	for _, name := range z.names {
		for _, b := range blocks {
			if !gone[name] {
				wg.Go(func() {
					if err := z.nodes[name].read(reading(testImage), b); err != nil {
						z.t.Errorf("%s reads %s: %v", name, b.ID().Short(), err)
					}
				})
			}
		}
	}
	wg.Wait()
}

func (z *treeZone) blocksOf(first uint64, count, size int) []block.Block {
	blocks := make([]block.Block, count)
	for i := range blocks {
		blocks[i] = z.block(first+uint64(i), size)
	}
	return blocks
}

// registrar returns the node that keeps the tree, by the ring of now.
func (z *treeZone) registrar() string {
	m, _ := z.nodes[z.names[0]].tier.trees.at(testImage)
	return m.Name
}

// seat returns a node's seat, which it must have.
func (z *treeZone) seat(name string) placement.Seat {
	z.t.Helper()
	seat, ok := z.nodes[name].tier.trees.seats.peek(testImage)
	if !ok {
		z.t.Fatalf("%s has no seat", name)
	}
	return seat
}

// inner returns a node with children that is not the root, nor one of these.
func (z *treeZone) inner(not ...string) (name string, children []string) {
	z.t.Helper()
	below := map[string][]string{}
	for _, name := range z.names {
		parent := z.seat(name).Parent
		below[parent] = append(below[parent], name)
	}
search:
	for _, name := range z.names {
		for _, other := range not {
			if name == other {
				continue search
			}
		}
		if z.seat(name).Level > 0 && len(below[name]) == 2 {
			return name, below[name]
		}
	}
	z.t.Fatal("no inner node")
	return "", nil
}

func (z *treeZone) size() (nodes, height int) {
	for _, s := range z.nodes[z.registrar()].tier.Trees() {
		if s.Image == testImage {
			return s.Nodes, s.Height
		}
	}
	return 0, 0
}
