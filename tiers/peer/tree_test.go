package peer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// Sixteen nodes read one image at once: one origin read for each block, each node
// asks its parent once for each, and the owners only hear of the root.
func TestTreeReadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 16)
		z.delay = 20 * time.Millisecond
		blocks := z.blocksOf(1, 32, 64<<10)
		z.all(blocks)
		if nodes, height := z.size(); nodes != 16 || height != 5 {
			t.Errorf("the tree has %d nodes and the height %d", nodes, height)
		}
		for _, b := range blocks {
			if n := z.originReads(b); n != 1 {
				t.Errorf("%s: %d origin reads", b.ID().Short(), n)
			}
			climbs := map[string]int{}
			for _, a := range z.asked(b.ID()) {
				switch {
				case a.Kind == placement.Climb:
					if climbs[a.from]++; climbs[a.from] > 1 {
						t.Errorf("%s asks its parent twice for %s", a.from, b.ID().Short())
					}
					if seat := z.seat(a.from); seat.Parent != a.to || seat.Level != int(a.Hops) {
						t.Errorf("%s asks %s at level %d, its seat is %v", a.from, a.to, a.Hops, seat)
					}
				case a.Kind == placement.Want && z.seat(a.from).Level > 0:
					t.Errorf("%s at level %d asks %s by the ring", a.from, z.seat(a.from).Level, a.to)
				}
			}
		}
		for _, name := range z.names {
			if s := z.nodes[name].tier.TreeStats(); s.Fallbacks > 0 || s.Climbs != s.Climbed {
				t.Errorf("%s: %+v", name, s)
			}
		}
	})
}

// A node that is killed in the middle of a burst costs no read, and its children
// have other parents soon.
func TestTreeParentKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 16)
		z.all(z.blocksOf(1, 6, 64<<10))
		dead, children := z.inner(z.registrar())
		z.fault = func(a asking) fault { return fault{chunk: time.Millisecond} }
		blocks := z.blocksOf(100, 24, 128<<10)
		time.AfterFunc(3*time.Millisecond, func() { z.slay(dead) })
		began := time.Now()
		z.all(blocks, dead)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the reads took %v", took)
		}
		for _, b := range blocks {
			owner, _ := z.ring.Load().Owner(b.ID())
			if n := z.originReads(b); n > 1 && owner.Name != dead {
				t.Errorf("%s: %d origin reads, owner %s, dead %s with the children %v: %+v", b.ID().Short(), n, owner.Name, dead, children, z.asked(b.ID()))
			}
		}
		<-time.After(2 * time.Second)
		for _, child := range children {
			if seat := z.seat(child); seat.Parent == dead {
				t.Errorf("%s still has the parent that was killed", child)
			}
		}
		z.all(z.blocksOf(200, 1, 64<<10), dead)
		<-time.After(memberFor + 2*sweepEvery)
		if nodes, _ := z.size(); nodes != 15 {
			t.Errorf("the tree has %d nodes", nodes)
		}
	})
}

// When the registrar dies its successor starts an empty tree, and everybody has a
// seat in it two seconds after the ring has changed.
func TestTreeRegistrarKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 16)
		z.all(z.blocksOf(1, 6, 64<<10))
		dead := z.registrar()
		z.slay(dead)
		blocks := z.blocksOf(100, 8, 64<<10)
		z.all(blocks, dead) // the seats are as they were
		<-time.After(time.Second)
		z.without(dead)
		<-time.After(2 * renewEvery)
		if heir := z.registrar(); heir == dead {
			t.Fatal("the registrar is still the one that died")
		}
		if nodes, height := z.size(); nodes != 15 || height != 4 {
			t.Errorf("the tree has %d nodes and the height %d", nodes, height)
		}
		blocks = z.blocksOf(200, 8, 64<<10)
		z.all(blocks, dead)
		for _, b := range blocks {
			if n := z.originReads(b); n != 1 {
				t.Errorf("%s: %d origin reads", b.ID().Short(), n)
			}
		}
	})
}

// Whatever a registrar says, nobody waits in a circle.
func TestTreeForgedCircle(t *testing.T) {
	next := map[string]string{"n00": "n01", "n01": "n02", "n02": "n00", "n03": "n01"}
	for name, level := range map[string]map[string]int{
		"the levels are those of no circle": {"n00": 3, "n01": 2, "n02": 1, "n03": 3},
		"all levels are the same":           {"n00": 7, "n01": 7, "n02": 7, "n03": 7},
		"the levels rise":                   {"n00": 1, "n01": 2, "n02": 3, "n03": 4},
		"one level is as high as can be":    {"n00": maxLevel, "n01": 2, "n02": 2, "n03": 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newTreeZone(t, 4)
				z.forge = func(node, _ string) (placement.Seat, bool) {
					return placement.Seat{Parent: next[node], Level: level[node]}, true
				}
				for _, name := range z.names { // the registrar asks itself; it must believe the same
					seats := &z.nodes[name].tier.trees.seats
					if z.registrar() == name {
						seats.mu.Lock()
						st := seats.useLocked(testImage)
						st.has, st.at = true, placement.Seat{Parent: next[name], Level: level[name]}
						seats.mu.Unlock()
					}
				}
				blocks := z.blocksOf(1, 12, 64<<10)
				began := time.Now()
				z.all(blocks)
				if took := time.Since(began); took > 900*time.Millisecond {
					t.Errorf("the reads took %v", took)
				}
				for _, b := range blocks {
					if n := z.originReads(b); n != 1 {
						t.Errorf("%s: %d origin reads", b.ID().Short(), n)
					}
				}
			})
		})
	}
}

// A parent that lies, falls silent, breaks off or cannot be reached: the read goes
// to the ring and takes up what is right of what has come, and the registrar hears of it.
func TestTreeParentFails(t *testing.T) {
	for name, f := range map[string]fault{
		"wrong bytes":      {spoil: true},
		"another size":     {resized: 5},
		"silent":           {stall: 32 << 10},
		"silent at once":   {hang: true},
		"breaks off":       {after: 32 << 10},
		"refuses":          {refuse: errCut},
		"has too much":     {refuse: block.ErrOverloaded},
		"denies the block": {refuse: block.ErrNotFound},
		"sends elsewhere":  {reply: &placement.Reply{Verdict: placement.Redirect, To: "n01"}},
		"gone":             {reply: &placement.Reply{Verdict: placement.Gone}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newTreeZone(t, 8)
				z.all(z.blocksOf(1, 6, 64<<10))
				bad, children := z.inner()
				child := z.nodes[children[0]]
				z.mu.Lock()
				z.fault = func(a asking) fault {
					if a.to == bad && a.Kind == placement.Climb {
						return f
					}
					return fault{}
				}
				z.mu.Unlock()
				reads := 1
				if f.after > 0 || f.resized > 0 { // one alone may be bad luck
					reads = tooOften
				}
				for range reads {
					b := z.block(uint64(1000+len(z.blocks)), 64<<10)
					for o, _ := z.ring.Load().Owner(b.ID()); o.Name == child.name || o.Name == bad; o, _ = z.ring.Load().Owner(b.ID()) {
						b = z.block(uint64(1000+len(z.blocks)), 64<<10)
					}
					began := time.Now()
					if err := child.read(reading(testImage), b); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); took > 4*DefaultSilence {
						t.Errorf("the read took %v", took)
					}
					if n := z.originReads(b); n != 1 {
						t.Errorf("%d origin reads", n)
					}
				}
				s := child.tier.TreeStats()
				if s.Fallbacks != uint64(reads) {
					t.Errorf("%+v", s)
				}
				guilty := f.spoil || f.resized > 0 || f.stall > 0 || f.hang || f.after > 0 || errors.Is(f.refuse, errCut)
				if (s.Complaints == 1) != guilty {
					t.Errorf("%d complaints", s.Complaints)
				}
				<-time.After(100 * time.Millisecond)
				if seat := z.seat(child.name); guilty && seat.Parent == bad {
					t.Errorf("%s still has the parent %s", child.name, bad)
				}
			})
		})
	}
}

// A parent says Gone at the moment the read's time is over: that is an error, and
// not a read without a block.
func TestTreeGoneTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 4)
		z.all(z.blocksOf(1, 6, 64<<10))
		child := ""
		for _, name := range z.names {
			if z.seat(name).Level > 0 {
				child = name
			}
		}
		b := z.block(100, 64<<10, z.seat(child).Parent)
		ctx, cancel := context.WithCancel(reading(testImage))
		z.mu.Lock()
		z.fault = func(asking) fault {
			cancel()
			return fault{reply: &placement.Reply{Verdict: placement.Gone}}
		}
		z.mu.Unlock()
		tier := z.nodes[child].tier
		r := &reception{id: b.ID(), cancel: cancel, done: make(chan struct{}), arrival: block.NewArrival(b.ID(), block.DefaultPool)}
		defer r.arrival.Leave()
		if err := tier.bring(ctx, r); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
}

// A node leaves the trees of images nobody reads there, and all when it closes.
func TestTreeLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 4)
		blocks := z.blocksOf(1, 6, 64<<10)
		z.all(blocks)
		if nodes, _ := z.size(); nodes != 4 {
			t.Fatalf("the tree has %d nodes", nodes)
		}
		quiet := "n03"
		if z.registrar() == quiet {
			quiet = "n02"
		}
		z.nodes[quiet].tier.LeaveTrees(context.Background())
		if nodes, _ := z.size(); nodes != 3 {
			t.Errorf("the tree has %d nodes after one has left", nodes)
		}
		more := z.block(77, 64<<10)
		if err := z.nodes[quiet].read(reading(testImage), more); err != nil {
			t.Errorf("read of a node that drains: %v", err)
		}
		<-time.After(idleFor + 2*renewEvery)
		if nodes, _ := z.size(); nodes != 0 {
			t.Errorf("the tree of an image nobody reads has %d nodes", nodes)
		}
	})
}

// Nodes without trees, and reads of no image, are not disturbed by those with.
func TestTreeMixedZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b")
		b := z.block(1, 64<<10, "a", "b")
		a, err := z.nodes["b"].tier.Answer(reading(testImage), b.ID(), placement.Ask{Kind: placement.Climb, Reader: "a", Hops: 9}, nil)
		if err != nil || a.Verdict != placement.Gone {
			t.Errorf("a node without trees answers %v, %v", a.Verdict, err)
		}
		if _, err := z.nodes["b"].tier.JoinTree(testImage, "a", ""); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("a node without trees seats others: %v", err)
		}
		z.nodes["b"].tier.LeaveTree(testImage, "a")
		z.nodes["b"].tier.LeaveTrees(context.Background())
		if z.nodes["b"].tier.Trees() != nil || z.nodes["b"].tier.TreeStats() != (TreeStats{}) {
			t.Error("a node without trees has some")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 3)
		for _, b := range z.blocksOf(1, 6, 64<<10) {
			for _, name := range z.names {
				z.nodes[name].mustRead(b)
			}
		}
		if z.sits != 0 {
			t.Error("a read of no image joined a tree")
		}
	})
}

func TestTreeWithoutRegistrar(t *testing.T) {
	if _, err := New(Options{Node: "a", Ring: func() *placement.Ring { return nil }, Transport: &testNode{}, Held: block.ReaderFunc(nil), Distribution: ByTree}); err == nil {
		t.Fatal("trees without a way to registrars")
	}
}
