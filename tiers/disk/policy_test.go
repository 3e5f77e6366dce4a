package disk

import (
	"math/rand/v2"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// A fifo evicts the oldest block; with touch set it is an LRU.
type simulated struct {
	room  int
	clock int
	last  map[uint64]int // when a key was written, or used
	order []use          // by time; entries that last has overtaken are void
	touch bool
	hits  int
}

type use struct {
	key  uint64
	time int
}

func (s *simulated) ask(key uint64) bool {
	s.clock++
	_, hit := s.last[key]
	if !hit || s.touch {
		s.last[key] = s.clock
		s.order = append(s.order, use{key, s.clock})
	}
	for len(s.last) > s.room {
		if u := s.order[0]; s.last[u.key] == u.time {
			delete(s.last, u.key)
		}
		s.order = s.order[1:]
	}
	return hit
}

// recordMix returns requests like a host's: starts of known images (Zipf over a
// working set that fits) and, now and then, one pass over an image that is
// larger than the cache and is never asked for again.
func recordMix(blocks int) (requests []uint64) {
	rng := rand.New(rand.NewPCG(3, 3))
	workingSet := uint64(blocks * 3 / 5)
	zipf := rand.NewZipf(rng, 1.05, 64, workingSet-1)
	scan := workingSet
	for round := range 6 {
		for range 2 * blocks {
			requests = append(requests, zipf.Uint64())
		}
		if round == 0 {
			continue
		}
		for range 3 * blocks / 2 { // the scan, while starts go on
			requests = append(requests, scan, zipf.Uint64())
			scan++
		}
	}
	return requests
}

func TestScanDoesNotFlushTheWorkingSet(t *testing.T) {
	if figure.Instrumented {
		t.Skip("measured without instrumentation")
	}
	capacity, blockSize := 32*mib, 64<<10
	if figure.Full() {
		capacity, blockSize = gib, 64<<10
	}
	blocks := int(capacity) / blockSize
	requests := recordMix(blocks)
	tier := open(t, Options{Dir: t.TempDir(), Capacity: capacity})
	fifo := &simulated{room: blocks, last: map[uint64]int{}}
	lru := &simulated{room: blocks, last: map[uint64]int{}, touch: true}
	ids := map[uint64]block.ID{}
	hits, counted := 0, 0
	for i, key := range requests {
		warm := i >= 2*blocks
		inFIFO, inLRU := fifo.ask(key), lru.ask(key)
		id, known := ids[key]
		hit := known && has(t, tier, id)
		if !hit {
			b := cheapBlock(block.DefaultPool, key, blockSize)
			ids[key] = b.ID()
			feed(tier, b)
			b.Release()
		}
		if !warm {
			continue
		}
		counted++
		for _, s := range []struct {
			hit   bool
			count *int
		}{{hit, &hits}, {inFIFO, &fifo.hits}, {inLRU, &lru.hits}} {
			if s.hit {
				*s.count++
			}
		}
	}
	rate := func(n int) float64 { return float64(n) / float64(counted) }
	s := tier.Stats()
	t.Logf("%d requests of %d blocks in room for %d; rewritten %d of %d bytes written", counted, len(ids), blocks, s.BytesRewritten, s.BytesWritten)
	if rate(hits) <= rate(lru.hits) || rate(hits) <= rate(fifo.hits) {
		t.Errorf("hit rate %.3f, LRU %.3f, FIFO %.3f: want the best", rate(hits), rate(lru.hits), rate(fifo.hits))
	}
	figure.Report(t, "disk.scan.hit_rate", rate(hits), "hits/request")
	figure.Report(t, "disk.scan.fifo_hit_rate", rate(fifo.hits), "hits/request")
	figure.Report(t, "disk.scan.lru_hit_rate", rate(lru.hits), "hits/request")
	figure.Report(t, "disk.scan.gain", rate(hits)-rate(max(fifo.hits, lru.hits)), "hits/request")
}
