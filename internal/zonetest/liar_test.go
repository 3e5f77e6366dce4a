package zonetest_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

// What a node may do to the bytes of the blocks it sends. Only those of the first
// list are lies: a block that is right in its size and wrong in its bytes is the
// doing of who sent it and of nobody else.
var (
	lies = []zonetest.Trick{zonetest.Lie, zonetest.LieEarly, zonetest.LieInTheEnd}
	odd  = []zonetest.Trick{
		zonetest.Truncate, zonetest.BreakLate, zonetest.FallSilent, zonetest.Short, zonetest.Empty, zonetest.Endless, zonetest.TooLarge,
	}
)

func TestWrongBytesAreNeverDelivered(t *testing.T) {
	for _, trick := range append(append([]zonetest.Trick{}, lies...), odd...) {
		t.Run(trick.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: sized(32, 512)})
				trace(t, z)
				liar := z.Node(2)
				z.Play(liar.Index, trick)
				share := len(z.OwnedBy(liar))
				began := time.Now()
				readEverywhere(t, z)
				if took := time.Since(began); took > 5*time.Second+100*time.Millisecond {
					t.Errorf("took %v", took)
				}
				// Who finds out too late has passed some of it on: more than one may
				// turn to the origin, but not everybody. One that says that it sends and
				// does not is waited for until the budget is spent.
				if trick.String() != zonetest.FallSilent.String() {
					checkOrigin(t, z, 5, z.Len()+4*share)
				}
				t.Logf("%v, %d origin reads of %d blocks, the liar owns %d; blamed: %v", time.Since(began), z.Origin().Total(), z.Len(), share, z.Blamed())
				checkBlame(t, z, liar)
				for _, lie := range lies {
					if trick.String() == lie.String() && z.Blamed()[liar.Name] == 0 {
						t.Error("nobody noticed who lied")
					}
				}
			})
		})
	}
}

// checkBlame fails the test if anybody but the liars is held for one.
func checkBlame(t *testing.T, z *zonetest.Zone, liars ...*zonetest.Node) {
	t.Helper()
	blamed := z.Blamed()
	for _, l := range liars {
		delete(blamed, l.Name)
	}
	if len(blamed) > 0 {
		t.Errorf("innocent nodes are blamed for wrong bytes: %v", blamed)
	}
}

// With slow links a wrong block is passed on before anybody can know that it is
// wrong: those who passed it on are not to blame, and those behind them read on.
func TestALiarAtTheHeadOfAChain(t *testing.T) {
	for _, trick := range lies {
		t.Run(trick.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{
					Nodes: 16, Blocks: 1, BlockSize: 512 << 10, Link: zonetest.Link{Up: 12.5e6, Down: 12.5e6},
				})
				trace(t, z)
				id := z.ID(0)
				owner := z.Owner(id)
				z.Play(owner.Index, trick)
				began := time.Now()
				readEverywhere(t, z)
				took := time.Since(began)
				checkBlame(t, z, owner)
				checkOrigin(t, z, 4, 4)
				if z.Blamed()[owner.Name] == 0 {
					t.Error("nobody noticed who lied")
				}
				if took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				t.Logf("%v, blamed: %v", took, z.Blamed())
			})
		})
	}
}

// The liar is in the middle: it has the right bytes and passes wrong ones on.
func TestALiarInTheMiddleOfAChain(t *testing.T) {
	for _, trick := range lies {
		t.Run(trick.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{
					Nodes: 16, Blocks: sized(8, 64), BlockSize: 256 << 10, Link: zonetest.Link{Up: 12.5e6, Down: 12.5e6},
				})
				trace(t, z)
				liars := []*zonetest.Node{z.Node(3), z.Node(9)}
				owned := 0
				for _, l := range liars {
					z.Play(l.Index, trick)
					owned += len(z.OwnedBy(l))
				}
				began := time.Now()
				startAll(t, z, z.Nodes())
				checkBlame(t, z, liars...)
				if b := z.Blamed(); b[liars[0].Name]+b[liars[1].Name] == 0 {
					t.Error("nobody noticed who lied")
				}
				checkOrigin(t, z, 5, z.Len()+4*owned)
				t.Logf("%v, blamed: %v", time.Since(began), z.Blamed())
			})
		})
	}
}

func TestAllOthersLie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 8})
		trace(t, z)
		honest := z.Node(5)
		for _, n := range except(z, honest) {
			z.Play(n.Index, zonetest.Lie)
		}
		var wg sync.WaitGroup
		for i := range z.Len() {
			wg.Go(func() { within(t, honest, z.ID(i), 5*time.Second+100*time.Millisecond) })
		}
		wg.Wait()
		checkBlame(t, z, except(z, honest)...)
		if len(z.Blamed()) == 0 {
			t.Error("nobody noticed who lied")
		}
		figure.Report(t, "zonetest.liars.wrong_bytes", float64(z.Wrong()), "blocks")
	})
}
