package memory

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

func open(t testing.TB, capacity int64) *Tier {
	t.Helper()
	m, err := New(Options{Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// named returns a block of n bytes whose id says which it is, and which holds
// its number in its first and last bytes: cheaper than a digest.
func named(p *block.Pool, number uint64, n int) block.Block {
	buf := p.Get(n)
	buf.Bytes()[0], buf.Bytes()[n-1] = byte(number), byte(number)
	return buf.Seal(idOf(number), block.Origin)
}

// idOf spreads the numbers over the keys as digests would.
func idOf(number uint64) block.ID {
	var id block.ID
	binary.LittleEndian.PutUint64(id[:], (number+1)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(id[24:], number)
	return id
}

func write(t testing.TB, m *Tier, b block.Block) {
	t.Helper()
	if err := m.WriteBlock(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func holds(t testing.TB, m *Tier, id block.ID) bool {
	t.Helper()
	b, err := m.ReadBlock(context.Background(), id)
	if err != nil && !errors.Is(err, block.ErrNotFound) {
		t.Fatal(err)
	}
	b.Release()
	return err == nil
}

func TestStoreContract(t *testing.T) {
	blocktest.TestStore(t, func(t *testing.T) blocktest.Subject {
		return blocktest.Subject{Store: open(t, 64<<20), Tier: block.Memory}
	})
}

func TestNegativeCapacityIsRefused(t *testing.T) {
	if _, err := New(Options{Capacity: -1}); err == nil {
		t.Fatal("a tier of -1 bytes was opened")
	}
}

func TestCapacityZeroKeepsNothing(t *testing.T) {
	m := open(t, 0)
	b := blocktest.Block(1, 100)
	defer b.Release()
	write(t, m, b)
	blocktest.CheckError(t, m, b.ID(), block.ErrNotFound)
	if m.Used() != 0 || m.Capacity() != 0 || m.Declines() != 1 {
		t.Fatalf("used %d of %d, %d declines", m.Used(), m.Capacity(), m.Declines())
	}
}

func TestCloseReleasesEverything(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 8<<20)
	for i := range uint64(200) {
		b := named(pool, i, 100_000)
		write(t, m, b)
		b.Release()
	}
	held, err := m.ReadBlock(context.Background(), heldID(t, m, 200))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	m.Close()
	if got := pool.InUse(); got != int64(held.MemorySize()) || m.Used() != 0 {
		t.Fatalf("after Close %d bytes in use, %d used; a reader holds %d", got, m.Used(), held.MemorySize())
	}
	blocktest.CheckError(t, m, held.ID(), block.ErrNotFound)
	write(t, m, held)
	held.Release()
	if pool.InUse() != 0 {
		t.Fatal("a write after Close kept the block")
	}
}

// heldID returns the id of any block among the first n that m holds.
func heldID(t *testing.T, m *Tier, n uint64) block.ID {
	t.Helper()
	for i := range n {
		if id := idOf(i); holds(t, m, id) {
			return id
		}
	}
	t.Fatal("the tier holds nothing")
	return block.ID{}
}

// ristretto panics (send on a closed channel) when a Get or a Set overlaps with
// its Close.
func TestCloseUnderLoadDoesNotPanic(t *testing.T) {
	pool := block.NewPool(0)
	for range 10 {
		m := open(t, 1<<20)
		var stop atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for n := uint64(0); !stop.Load() || n < 100; n++ {
					b := named(pool, rand.Uint64N(200), 10_000)
					write(t, m, b)
					b.Release()
					holds(t, m, idOf(rand.Uint64N(200)))
				}
			})
		}
		for m.Evictions() == 0 {
			holds(t, m, idOf(0))
		}
		m.Close()
		stop.Store(true)
		wg.Wait()
		if m.Used() != 0 || pool.InUse() != 0 {
			t.Fatalf("after Close: %d used, %d in use", m.Used(), pool.InUse())
		}
	}
}
