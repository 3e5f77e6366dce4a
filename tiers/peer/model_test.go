package peer

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/placement"
)

// Whatever peers do, a read of a node whose origin is up brings the right bytes,
// within the budget and the origin's time; where several peers are silent at once,
// within as many budgets as a split zone allows.
func TestNoReadFailsWhateverPeersDo(t *testing.T) {
	seeds := uint64(10)
	if figure.Full() {
		seeds = 500
	}
	worst := time.Duration(0)
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			took := misbehave(t, seed)
			if limit := longPatience*DefaultBudget + 25*time.Millisecond; took > limit {
				t.Errorf("seed %d: a read took %v, want at most %v", seed, took, limit)
			}
			worst = max(worst, took)
		})
	}
	figure.Report(t, "peer.model_slowest_read", worst.Seconds(), "s")
}

func misbehave(t *testing.T, seed uint64) (slowest time.Duration) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	z := newZone(t, names...)
	z.delay = 20 * time.Millisecond
	cut := map[string]bool{} // under z.mu, as z.fault is
	z.fault = func(a asking) fault {
		if cut[a.from] != cut[a.to] {
			return []fault{{refuse: errCut}, {hang: true}}[rnd.IntN(2)]
		}
		return anyFault(rnd, names)
	}
	var blocks []block.Block
	for i := range uint64(12) {
		blocks = append(blocks, z.block(i, []int{1, 4096, 5000, 100_000, 256 << 10}[i%5]))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop, cancel := context.WithCancel(t.Context())
	wg.Go(func() { z.disturb(stop, rand.New(rand.NewPCG(seed, 2)), blocks, cut) })
	var readers sync.WaitGroup
	for i, name := range names {
		order := rand.New(rand.NewPCG(seed, uint64(10+i)))
		readers.Go(func() {
			for range 30 {
				b := blocks[order.IntN(len(blocks))]
				started := time.Now()
				if err := z.nodes[name].read(t.Context(), b); err != nil {
					t.Errorf("seed %d: %s reads %s: %v", seed, name, b.ID().Short(), err)
				}
				mu.Lock()
				slowest = max(slowest, time.Since(started))
				mu.Unlock()
				_ = rest(context.Background(), time.Duration(order.IntN(200))*time.Millisecond)
			}
		})
	}
	readers.Wait()
	cancel()
	wg.Wait()
	return slowest
}

// disturb evicts blocks, parts the zone in two and changes the ring.
func (z *zone) disturb(ctx context.Context, rnd *rand.Rand, blocks []block.Block, cut map[string]bool) {
	whole := z.ring.Load()
	for rest(ctx, time.Duration(rnd.IntN(50))*time.Millisecond) == nil {
		name := z.names[rnd.IntN(len(z.names))]
		switch rnd.IntN(20) {
		case 0:
			z.mu.Lock()
			cut[name] = !cut[name]
			z.mu.Unlock()
		case 1:
			z.ring.Store(ringOf(append(whole.Members()[:3:3], whole.Members()[4:]...)))
		case 2:
			z.ring.Store(whole)
		case 3:
			z.nodes[name].tier.Suspect(z.names[rnd.IntN(len(z.names))], "gossip")
		default:
			z.nodes[name].l1.Remove(blocks[rnd.IntN(len(blocks))].ID())
		}
	}
}

func anyFault(rnd *rand.Rand, names []string) fault {
	name := append(names, "nobody", "")[rnd.IntN(len(names)+2)]
	switch rnd.IntN(40) {
	case 0, 1:
		return fault{refuse: errCut}
	case 2:
		return fault{hang: true}
	case 3:
		return fault{after: 1 + rnd.IntN(200_000)}
	case 4:
		return fault{stall: 1 + rnd.IntN(200_000)}
	case 5, 6:
		return fault{spoil: true}
	case 7:
		return fault{spoil: true, after: 1 + rnd.IntN(200_000)}
	case 8, 9:
		return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: name}}
	case 10:
		return fault{reply: &placement.Reply{Verdict: placement.Gone, To: name}}
	case 11:
		return fault{reply: &placement.Reply{Verdict: placement.Serve}}
	case 12:
		return fault{refuse: block.ErrOverloaded}
	case 13:
		return fault{refuse: block.ErrNotFound}
	case 14:
		return fault{refuse: block.ErrCorrupt}
	case 15:
		return fault{refuse: block.ErrDenied}
	case 16:
		return fault{resized: rnd.IntN(3) - 1}
	case 17, 18:
		return fault{head: time.Duration(rnd.IntN(1000)) * time.Millisecond}
	case 19:
		return fault{chunk: time.Duration(rnd.IntN(500)) * time.Millisecond}
	}
	return fault{chunk: time.Millisecond}
}
