package peer

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/placement"
)

func everybody(string) bool { return true }

func (r *registry) nodes(image string) int {
	all := map[string]TreeStatus{}
	r.status(all, everybody)
	return all[image].Nodes
}

func TestRegistrySeatsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		for i := range 7 {
			r.join("i", fmt.Sprintf("n%d", i), "", everybody)
		}
		if n := r.nodes("i"); n != 7 {
			t.Fatalf("%d nodes", n)
		}
		for range 6 { // n5 and n6 go on renewing
			<-time.After(renewEvery)
			r.join("i", "n5", "", everybody)
			r.join("i", "n6", "", everybody)
		}
		if n := r.nodes("i"); n != 2 {
			t.Errorf("%d nodes are left", n)
		}
		if seat := r.join("i", "n0", "", everybody); seat.Level != 1 {
			t.Errorf("one that comes back has the seat %v", seat)
		}
		<-time.After(sweepEvery)
		if seat := r.join("i", "n5", "", func(name string) bool { return name == "n5" }); seat != (placement.Seat{}) {
			t.Errorf("the only one that is in the zone has the seat %v", seat)
		}
		r.leave("i", "n5")
		r.leave("i", "n5")
		r.leave("other", "n5")
		if len(r.trees.Keys()) != 0 {
			t.Error("an empty tree is kept")
		}
	})
}

// Only a child can complain of a node, which loses its seat and comes back as a leaf.
func TestRegistryComplaints(t *testing.T) {
	r := newRegistry()
	for i := range 15 {
		r.join("i", fmt.Sprintf("n%02d", i), "", everybody)
	}
	before := map[string]placement.Seat{}
	for i := range 15 {
		name := fmt.Sprintf("n%02d", i)
		before[name] = r.join("i", name, "", everybody)
	}
	for node, seat := range before {
		for other := range before {
			if other != seat.Parent {
				if got := r.join("i", node, other, everybody); got != seat {
					t.Fatalf("%s complains of %s, which is not its parent: seat %v, was %v", node, other, got, seat)
				}
			}
		}
	}
	if got := r.join("i", "n03", "n01", everybody); got.Parent == "n01" {
		t.Fatalf("n03 still has the parent it complained of: %v", got)
	}
	if got := r.join("i", "n04", "n01", everybody); got.Parent == "n01" || got.Level != 2 {
		t.Fatalf("n04 complains of the same parent a little later: %v", got)
	}
	if got := r.join("i", "n01", "", everybody); got.Level != 3 {
		t.Fatalf("the one complained of comes back to the seat %v", got)
	}
	root := r.join("i", "n00", "", everybody)
	if root.Parent != "" {
		t.Fatalf("n00 has the seat %v", root)
	}
	r.join("i", "n02", "n00", everybody)
	if got := r.join("i", "n00", "", everybody); got.Level != 3 {
		t.Fatalf("a root complained of comes back to the seat %v", got)
	}
}

func TestRegistryIsBounded(t *testing.T) {
	r := newRegistry()
	for i := range maxRegistered + 5 {
		r.join(fmt.Sprintf("image-%d", i), "n", "", everybody)
	}
	if n := len(r.trees.Keys()); n != maxRegistered {
		t.Errorf("%d trees", n)
	}
	if r.nodes("image-0") != 0 || r.nodes(fmt.Sprintf("image-%d", maxRegistered)) != 1 {
		t.Error("the wrong trees were forgotten")
	}
}

// What a registrar refuses, and what a node refuses of a registrar.
func TestTreeBadSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 3)
		tier := z.nodes[z.registrar()].tier
		for _, c := range []struct{ image, node string }{{"", "n00"}, {strings.Repeat("x", maxImageName+1), "n00"}, {testImage, "stranger"}, {testImage, ""}} {
			if seat, err := tier.JoinTree(c.image, c.node, ""); err == nil {
				t.Errorf("%q in the tree of %.10q: %v", c.node, c.image, seat)
			}
		}
		if tier.Trees() != nil && len(tier.Trees()) != 0 {
			t.Errorf("trees: %v", tier.Trees())
		}
		z.forge = func(node, _ string) (placement.Seat, bool) {
			return map[string]placement.Seat{
				"n00": {Parent: "n00", Level: 1},       // itself
				"n01": {Parent: "", Level: 4},          // a root that is none
				"n02": {Parent: "n00", Level: 1 << 20}, // too deep
			}[node], true
		}
		for _, b := range z.blocksOf(1, 6, 16<<10) {
			for _, name := range z.names {
				if err := z.nodes[name].read(reading(testImage), b); err != nil {
					t.Error(err)
				}
			}
			if n := z.originReads(b); n != 1 {
				t.Errorf("%d origin reads", n)
			}
		}
		for _, name := range z.names {
			if _, ok := z.nodes[name].tier.trees.seats.peek(testImage); ok && name != z.registrar() {
				t.Errorf("%s took a seat that is none", name)
			}
		}
	})
}

// A node reads more images than it may have seats: the trees of the oldest are left.
func TestTreeSeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 2)
		b := z.block(1, 1<<10, "n01")
		n := z.nodes["n00"]
		for i := range maxSeats + 20 {
			if err := n.read(reading(fmt.Sprintf("image-%d", i)), b); err != nil {
				t.Fatal(err)
			}
			n.l1.Remove(b.ID())
			<-time.After(2 * lingerFor / 100)
			n.tier.arrivals.drop()
		}
		joined := 0
		for _, s := range n.tier.Trees() {
			if s.Joined {
				joined++
			}
		}
		if joined != maxSeats {
			t.Errorf("in %d trees, want %d", joined, maxSeats)
		}
		synctest.Wait()
		registered := 0
		for _, name := range z.names {
			registered += len(z.nodes[name].tier.trees.registry.trees.Keys())
		}
		if registered != maxSeats {
			t.Errorf("%d trees at the registrars, want %d", registered, maxSeats)
		}
	})
}
