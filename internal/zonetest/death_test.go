package zonetest_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

// A fault that takes a node out of the zone.
var outages = map[string]func(z *zonetest.Zone, i int){
	"killed":    func(z *zonetest.Zone, i int) { z.Kill(i) },
	"hung":      func(z *zonetest.Zone, i int) { z.Hang(i) },
	"cut off":   func(z *zonetest.Zone, i int) { z.Partition([]int{i}) },
	"listening": func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysFails) },
}

func TestOwnerIsLostWhileItReadsTheOrigin(t *testing.T) {
	for name, lose := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 1, OriginDelay: 200 * time.Millisecond})
				trace(t, z)
				id := z.ID(0)
				owner := z.Owner(id)
				time.AfterFunc(100*time.Millisecond, func() { lose(z, owner.Index) })
				began := time.Now()
				readOn(t, z, except(z, owner))
				checkOrigin(t, z, 2, 2)
				if took := time.Since(began); took > 5*time.Second+400*time.Millisecond {
					t.Errorf("took %v, want at most the budget and the origin's time", took)
				}
				t.Logf("%s: %v, %d origin reads", name, time.Since(began), z.OriginReads(id))
			})
		})
	}
}

// The block is on its way to some, and they pass it on.
func TestOwnerIsLostWhileItSends(t *testing.T) {
	for name, lose := range outages {
		for _, at := range []int{25, 40, 60, 80, 100, 150} {
			t.Run(fmt.Sprintf("%s after %d ms", name, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					z := zonetest.New(t, zonetest.Options{
						Nodes: 16, Blocks: 1, BlockSize: 256 << 10, Link: zonetest.Link{Up: 12.5e6, Down: 12.5e6},
					})
					trace(t, z)
					id := z.ID(0)
					owner := z.Owner(id)
					time.AfterFunc(time.Duration(at)*time.Millisecond, func() { lose(z, owner.Index) })
					began := time.Now()
					readOn(t, z, except(z, owner))
					checkOrigin(t, z, 3, 3) // the owner, and who stands in for it
					if took := time.Since(began); took > 5*time.Second+100*time.Millisecond {
						t.Errorf("took %v, want at most the budget and the origin's time", took)
					}
				})
			})
		}
	}
}

// Those behind a reader that dies while it passes a block on are orphans.
func TestNodesInTheMiddleOfChainsAreLost(t *testing.T) {
	for name, lose := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{
					Nodes: 16, Blocks: 1, BlockSize: 512 << 10, Link: zonetest.Link{Up: 12.5e6, Down: 12.5e6},
				})
				trace(t, z)
				id := z.ID(0)
				holders := z.Holders(id, 16)
				var lost []*zonetest.Node
				for k, n := range holders[1:4] {
					lost = append(lost, n)
					time.AfterFunc(time.Duration(35+15*k)*time.Millisecond, func() { lose(z, n.Index) })
				}
				var wg sync.WaitGroup
				for _, n := range lost {
					wg.Go(func() { _, _ = n.Read(t.Context(), id) })
				}
				began := time.Now()
				readOn(t, z, except(z, lost...))
				took := time.Since(began)
				most := 1
				if name == "cut off" {
					most += len(lost) // who is cut off reaches the origin, and nobody else
				}
				checkOrigin(t, z, most, most)
				if took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				z.Heal()
				wg.Wait()
				t.Logf("%s: %v", name, took)
			})
		})
	}
}

func TestOwnerIsLostInMidBurst(t *testing.T) {
	for _, name := range []string{"killed", "hung", "cut off"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate = 12.5e6
				z := zonetest.New(t, zonetest.Options{
					Nodes: 16, Blocks: sized(64, 1024), Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
				})
				trace(t, z)
				lost := z.Node(7)
				share := len(z.OwnedBy(lost))
				half := time.Duration(float64(z.Len()*(64<<10)) / rate / 2 * float64(time.Second))
				var has, had atomic.Int64 // blocks that the lost node has, and had when it was lost
				time.AfterFunc(half, func() {
					had.Store(has.Load())
					outages[name](z, lost.Index)
				})
				var wg sync.WaitGroup
				wg.Go(func() { // ends with the node, or when it is healed
					for i := range z.Len() {
						if _, err := lost.Read(t.Context(), z.ID(i)); err == nil {
							has.Add(1)
						}
					}
				})
				took := startAll(t, z, except(z, lost))
				worst := time.Duration(0)
				for _, d := range took {
					worst = max(worst, d)
				}
				total := z.Len() + z.Len()/100 + share
				if name == "cut off" {
					total += z.Len() - int(had.Load()) // what it lacks, it reads there by itself
				}
				checkOrigin(t, z, 3, total)
				t.Logf("%s: last host after %v, %d origin reads of %d blocks, the dead node owned %d", name, worst, z.Origin().Total(), z.Len(), share)
				if name == "killed" {
					figure.Report(t, "zonetest.owner_killed.origin_reads_per_block", float64(z.Origin().Total())/float64(z.Len()), "reads")
				}
				z.Heal()
				wg.Wait()
			})
		})
	}
}

func TestAllButOneAreLost(t *testing.T) {
	for name, lose := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 8})
				trace(t, z)
				last := z.Node(3)
				if name == "cut off" {
					z.Partition([]int{3})
				} else {
					for _, n := range except(z, last) {
						lose(z, n.Index)
					}
				}
				var wg sync.WaitGroup
				for i := range z.Len() {
					wg.Go(func() { within(t, last, z.ID(i), 5*time.Second+100*time.Millisecond) })
				}
				wg.Wait()
				checkOrigin(t, z, 1, z.Len())
			})
		})
	}
}

// A host that was dead for the others reads on when it is back.
func TestAHostThatWasHungComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 8})
		trace(t, z)
		readEverywhere(t, z)
		total := z.Origin().Total()
		z.Hang(2)
		z.Settle()
		sleep(time.Minute)
		z.Wake(2)
		z.Settle()
		for _, n := range z.Nodes() {
			n.Forget()
		}
		z.Node(2).MustRead(t.Context(), z.ID(0))
		readEverywhere(t, z)
		if again := z.Origin().Total() - total; again > z.Len() {
			t.Errorf("%d origin reads for %d forgotten blocks", again, z.Len())
		}
	})
}
