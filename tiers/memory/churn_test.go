package memory

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// Several times the capacity in blocks of all sizes goes through the tier while
// others read: what the tier references, and what the pool has handed out in
// all, stays within the budget, the offers under way and what the goroutines
// hold themselves.
func TestChurnKeepsTheBudget(t *testing.T) {
	capacity, turns := int64(16<<20), int64(3)
	if figure.Full() {
		capacity, turns = 1<<30, 20
	}
	const writers, readers = 4, 4
	pool := block.NewPool(0)
	m := open(t, capacity)
	var written, maxUsed, maxInUse atomic.Int64
	var reading, writing sync.WaitGroup
	var stop atomic.Bool
	for range readers {
		reading.Go(func() {
			for !stop.Load() {
				raise(&maxUsed, m.Used())
				raise(&maxInUse, pool.InUse())
				k := rand.Uint64N(2048)
				if b, err := m.ReadBlock(context.Background(), idOf(k)); err == nil {
					if p := b.Bytes(); p[0] != byte(k) || p[len(p)-1] != byte(k) {
						t.Errorf("block %d holds byte %d", k, p[0])
					}
					b.Release()
				}
			}
		})
	}
	for range writers {
		writing.Go(func() {
			for written.Load() < turns*capacity {
				k := rand.Uint64N(1 << 16)
				n := 1024 << rand.IntN(10)
				n += rand.IntN(n) // 1 KiB to 1 MiB, all size classes alike
				b := named(pool, k, n)
				write(t, m, b)
				b.Release()
				written.Add(int64(n))
				raise(&maxUsed, m.Used())
			}
		})
	}
	writing.Wait()
	stop.Store(true)
	reading.Wait()

	if got, limit := maxUsed.Load(), capacity+m.offering; got > limit {
		t.Errorf("the tier referenced %d bytes, limit %d", got, limit)
	}
	if got := m.Used(); got > capacity || got < capacity*7/10 {
		t.Errorf("at rest %d of %d bytes are used", got, capacity)
	}
	if got := pool.InUse(); got != m.Used() {
		t.Errorf("at rest %d bytes in use, the tier counts %d", got, m.Used())
	}
	const inHand = (writers + readers) * (block.MaxSize + block.MaxSize/8)
	if got, limit := maxInUse.Load(), capacity+m.offering+inHand; got > limit {
		t.Errorf("the pool handed out %d bytes, limit %d", got, limit)
	}
	if m.Evictions() == 0 {
		t.Error("nothing was evicted")
	}
	figure.Report(t, "memory.churn.over_budget_ratio", float64(maxUsed.Load())/float64(capacity), "ratio")
	figure.Report(t, "memory.churn.declined_share",
		float64(m.Declines())/float64(m.Declines()+m.Evictions()+1), "ratio")
}

func raise(high *atomic.Int64, v int64) {
	for old := high.Load(); v > old && !high.CompareAndSwap(old, v); old = high.Load() {
	}
}
