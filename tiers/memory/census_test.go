package memory

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
)

// The oldest entry is known while blocks come, are dropped and are evicted.
func TestTheOldestEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := block.NewPool(0)
		m := open(t, 8<<20)
		began := time.Now()
		check := func(what string, want time.Time) {
			t.Helper()
			if got := m.Oldest(); !got.Equal(want) {
				t.Errorf("%s: the oldest came %v, want %v", what, got.Sub(began), want.Sub(began))
			}
		}
		put := func(number uint64) {
			b := named(pool, number, 1<<20)
			write(t, m, b)
			b.Release()
		}
		check("empty", time.Time{})
		put(1)
		put(2)
		time.Sleep(time.Minute) //nolint:forbidigo // the time of the synctest bubble
		put(3)
		put(1) // held already
		check("three", began)
		m.Drop([]block.ID{idOf(1)})
		check("one of the first two dropped", began)
		m.Drop([]block.ID{idOf(2)})
		check("both dropped", began.Add(time.Minute))
		for number := range uint64(100) {
			time.Sleep(time.Second) //nolint:forbidigo // as above
			put(100 + number)
		}
		if m.Evictions() == 0 || holds(t, m, idOf(3)) {
			t.Fatalf("%d evictions", m.Evictions())
		}
		if age := time.Since(m.Oldest()); age < 5*time.Second || age > 100*time.Second {
			t.Errorf("after 100 blocks of a second each the oldest is %v old", age)
		}
		var ids []block.ID
		for number := range uint64(100) {
			ids = append(ids, idOf(100+number))
		}
		m.Drop(ids)
		check("all dropped", time.Time{})
	})
}

func TestWhyOffersAreDeclined(t *testing.T) {
	pool := block.NewPool(0)
	m := open(t, 1<<19)
	large, small := named(pool, 1, block.MaxSize), named(pool, 2, 1000)
	defer large.Release()
	defer small.Release()
	write(t, m, large)
	m.offered.Add(m.offering)
	write(t, m, small)
	m.offered.Add(-m.offering)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, m, small)
	for reason, n := range m.Declined() {
		if n != 1 {
			t.Errorf("%s: %d, want 1", reason, n)
		}
	}
	if len(m.Declined()) != 3 || m.Declines() != 3 {
		t.Errorf("%v, %d in all", m.Declined(), m.Declines())
	}
}
