package zonetest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
	"github.com/zonecache/cached/placement"
)

// sized returns the small size in go test, a third of it where the build checks
// itself, and the full one where goals are proven.
func sized(small, full int) int {
	switch {
	case figure.Full():
		return full
	case figure.Instrumented:
		return max(small/3, min(small, 4))
	}
	return small
}

// readEverywhere reads every block on every node, all at once.
func readEverywhere(t *testing.T, z *zonetest.Zone) {
	t.Helper()
	readOn(t, z, z.Nodes())
}

// readOn reads every block on some nodes, all at once.
func readOn(t *testing.T, z *zonetest.Zone, nodes []*zonetest.Node) {
	t.Helper()
	var wg sync.WaitGroup
	for _, n := range nodes {
		for i := range z.Len() {
			wg.Go(func() { n.MustRead(t.Context(), z.ID(i)) })
		}
	}
	wg.Wait()
}

// startAll lets the nodes read all blocks as hosts do that start one image: in
// the order of the burst protocol, each with a seed of its own, owners reading
// their own blocks ahead. It returns when each node held everything.
func startAll(t *testing.T, z *zonetest.Zone, nodes []*zonetest.Node) []time.Duration {
	t.Helper()
	order, lookAhead := z.Orders()
	return startBy(t, z, nodes, order, lookAhead)
}

// startBy is startAll by other orders.
func startBy(t *testing.T, z *zonetest.Zone, nodes []*zonetest.Node, order, lookAhead placement.OrderLimits) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(nodes))
	var wg sync.WaitGroup
	for k, n := range nodes {
		wg.Go(func() {
			began := time.Now()
			all := make([]int, z.Len())
			for i := range all {
				all[i] = i
			}
			var ahead sync.WaitGroup
			if own := z.OwnedBy(n); len(own) > 0 {
				ahead.Go(func() { readInOrder(t, z, n, own, uint64(k), lookAhead) })
			}
			readInOrder(t, z, n, all, uint64(k), order)
			took[k] = time.Since(began)
			ahead.Wait()
		})
	}
	wg.Wait()
	return took
}

// readInOrder reads the blocks of those indices as a placement.Order says.
func readInOrder(t *testing.T, z *zonetest.Zone, n *zonetest.Node, indices []int, seed uint64, limits placement.OrderLimits) {
	next := placement.NewOrder(len(indices), seed, limits)
	done := make(chan int)
	here := make([]bool, len(indices))
	frontier := 0
	for {
		i, ok := next.Next()
		switch {
		case ok:
			go func() {
				n.MustRead(starting(t), z.ID(indices[i]))
				done <- i
			}()
		case next.Out() > 0:
			i := <-done
			next.Done(i)
			here[i] = true
			for frontier < len(here) && here[frontier] {
				frontier++
			}
			next.Advance(frontier)
		default:
			return
		}
	}
}

// A load reads random blocks on all nodes that run until it is stopped.
type load struct {
	stop    context.CancelFunc
	wg      sync.WaitGroup
	reads   atomic.Int64
	failed  atomic.Int64
	slowest atomic.Int64 // of a read on a host that did not hang meanwhile, in nanoseconds
}

// startLoad starts some readers on each node, which pause between their reads.
func startLoad(t *testing.T, z *zonetest.Zone, nodes []*zonetest.Node, readers int, pause time.Duration, seed uint64) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel}
	for _, n := range nodes {
		for k := range readers {
			rng := rand.New(rand.NewPCG(seed, uint64(n.Index)<<16|uint64(k)))
			l.wg.Go(func() {
				for ctx.Err() == nil {
					select {
					case <-time.After(time.Duration(rng.Float64() * 2 * float64(pause))):
					case <-ctx.Done():
						return
					}
					l.read(t, z, n, z.ID(rng.IntN(z.Len())))
				}
			})
		}
	}
	return l
}

func (l *load) read(t *testing.T, z *zonetest.Zone, n *zonetest.Node, id block.ID) {
	began := time.Now()
	hangs, hung := z.Net().Hangs(n.Name)
	_, err := n.Read(t.Context(), id)
	if errors.Is(err, zonetest.ErrEnded) {
		return
	}
	l.reads.Add(1)
	if err != nil && l.failed.Add(1) <= 10 {
		t.Errorf("a read failed: %v", err)
	}
	if h, _ := z.Net().Hangs(n.Name); hung || h != hangs {
		return // its clock stood still, so to say
	}
	took := int64(time.Since(began))
	for {
		old := l.slowest.Load()
		if took <= old || l.slowest.CompareAndSwap(old, took) {
			return
		}
	}
}

// end stops the load and waits for its reads.
func (l *load) end() {
	l.stop()
	l.wg.Wait()
}

// checkOrigin fails the test if any block was read from the origin more often
// than most times, or all together more often than total times.
func checkOrigin(t *testing.T, z *zonetest.Zone, most, total int) {
	t.Helper()
	gotMost, id, gotTotal := z.OriginMost()
	if gotMost > most || gotTotal > total {
		t.Errorf("%d origin reads of %d blocks, %s was read %d times; want at most %d and %d",
			gotTotal, z.Len(), id.Short(), gotMost, total, most)
	}
}

// sleep lets virtual time pass.
func sleep(d time.Duration) { <-time.After(d) }

// within reads a block and fails the test if that takes longer than it may.
func within(t *testing.T, n *zonetest.Node, id block.ID, limit time.Duration) block.Tier {
	t.Helper()
	began := time.Now()
	from := n.MustRead(t.Context(), id)
	if took := time.Since(began); took > limit {
		t.Errorf("%s: the read took %v, want at most %v", n.Name, took, limit)
	}
	return from
}

// except returns the running nodes without some.
func except(z *zonetest.Zone, without ...*zonetest.Node) []*zonetest.Node {
	var rest []*zonetest.Node
next:
	for _, n := range z.Nodes() {
		for _, w := range without {
			if n == w {
				continue next
			}
		}
		rest = append(rest, n)
	}
	return rest
}
