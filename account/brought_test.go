package account

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// served reads a block as a chain would that has it from one tier.
func served(ctx context.Context, l *Ledger, b block.Block, from block.Tier) {
	read(ctx, l.Requests(l.Brought(answer(b, from, nil))), b.ID())
}

func TestAReadOfWhatWasReadAheadJustBeforeIsNoHit(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	demand, ahead := call("flask", block.Demand), call("flask", block.Prefetch)
	for _, tt := range []struct {
		name string
		do   func(l *Ledger)
		want int64 // reads that are no hits though L1 or L2 served them
	}{
		{"read ahead from the origin", func(l *Ledger) {
			served(ahead, l, b, block.Origin)
			served(demand, l, b, block.Memory)
		}, 1},
		{"the second time", func(l *Ledger) {
			served(ahead, l, b, block.Origin)
			served(demand, l, b, block.Disk)
			served(demand, l, b, block.Memory)
		}, 1},
		{"by two who read ahead, of whom one gives up", func(l *Ledger) {
			read(ahead, l.Requests(block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
				read(ahead, l.Requests(answer(block.Block{}, 0, context.Canceled)), id)
				return l.Brought(answer(b, block.Origin, nil)).ReadBlock(ctx, id)
			})), b.ID())
			served(demand, l, b, block.Memory)
			served(demand, l, b, block.Memory)
		}, 1},
		{"brought again for one who reads ahead since before it was used", func(l *Ledger) {
			read(ahead, l.Requests(block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
				served(ahead, l, b, block.Origin)
				served(demand, l, b, block.Memory)
				return l.Brought(answer(b, block.Origin, nil)).ReadBlock(ctx, id)
			})), b.ID())
			served(demand, l, b, block.Memory)
			served(demand, l, b, block.Memory)
		}, 2},
		{"one after the other by two who read ahead", func(l *Ledger) {
			served(ahead, l, b, block.Origin)
			served(ahead, l, b, block.Memory)
			served(demand, l, b, block.Memory)
			served(demand, l, b, block.Memory)
		}, 1},
		{"read ahead of what was here", func(l *Ledger) {
			served(ahead, l, b, block.Memory)
			served(demand, l, b, block.Memory)
		}, 0},
		{"read ahead from another host", func(l *Ledger) {
			served(ahead, l, b, block.Peer)
			served(demand, l, b, block.Memory)
		}, 0},
		{"nobody reads ahead", func(l *Ledger) {
			served(demand, l, b, block.Origin)
			served(demand, l, b, block.Memory)
		}, 0},
		{"prepared", func(l *Ledger) {
			served(call("flask", block.Repair), l, b, block.Origin)
			served(demand, l, b, block.Memory)
		}, 0},
		{"for another host of the zone", func(l *Ledger) {
			read(ahead, l.Brought(answer(b, block.Origin, nil)), b.ID()) // not by Requests
			served(demand, l, b, block.Memory)
		}, 0},
		{"waited for the origin, which is counted as that", func(l *Ledger) {
			served(ahead, l, b, block.Origin)
			served(demand, l, b, block.Origin) // joined the flight
			served(demand, l, b, block.Memory)
		}, 0},
		{"used where this node does not see it", func(l *Ledger) {
			served(ahead, l, b, block.Origin)
			l.Used(b.ID())
			served(demand, l, b, block.Memory)
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := New(Options{})
			tt.do(l)
			s := balance(t, l)
			if want := (Count{tt.want, 1000 * tt.want}); s.Requests.Prefetched != want || s.Images[0].Prefetched != want {
				t.Errorf("%+v, of the image %+v, want %+v", s.Requests.Prefetched, s.Images[0].Prefetched, want)
			}
		})
	}
}

// What a start before has read ahead in vain is a hit of a later one.
func TestWhatWasReadAheadLongAgoIsAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Block(1, 1000)
		defer b.Release()
		l := New(Options{})
		served(call("flask", block.Prefetch), l, b, block.Origin)
		<-time.After(broughtFor + 2*time.Second)
		served(call("flask", block.Demand), l, b, block.Memory)
		if s := balance(t, l); s.Requests.Prefetched != (Count{}) {
			t.Errorf("%+v", s.Requests.Prefetched)
		}
		served(call("flask", block.Prefetch), l, b, block.Origin) // its old mark is no obstacle
		served(call("flask", block.Demand), l, b, block.Memory)
		if s := balance(t, l); s.Requests.Prefetched.Blocks != 1 {
			t.Errorf("%+v", s.Requests.Prefetched)
		}
	})
}

// A retired book takes its prefetched reads along.
func TestPrefetchedReadsOfRetiredImagesAreKept(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	l := New(Options{Images: 1})
	for _, image := range []string{"a", "b", "c"} {
		served(call(image, block.Prefetch), l, b, block.Origin)
		served(call(image, block.Demand), l, b, block.Memory)
	}
	if s := balance(t, l); s.Requests.Prefetched.Blocks != 3 || s.Other.Prefetched.Blocks == 0 {
		t.Errorf("%+v in all, %+v of others", s.Requests.Prefetched, s.Other.Prefetched)
	}
}

// Many are remembered at a time; of more, the oldest are hits.
func TestManyBlocksReadAheadAreRemembered(t *testing.T) {
	var s broughtSet
	const n = broughtSets
	id := func(i int) block.ID { return block.Sum([]byte{byte(i), byte(i >> 8), byte(i >> 16)}) }
	for i := range n {
		s.asked(id(i), 0)
		s.came(id(i), 0)
	}
	kept := 0
	for i := range n {
		if s.take(id(i), 0) {
			kept++
		}
		if s.take(id(i), 0) {
			t.Fatal("taken twice")
		}
	}
	if kept < n*99/100 {
		t.Errorf("%d of %d are remembered", kept, n)
	}
}

// However many read a block ahead at once, none is taken for another block or time.
func TestManyReadOneBlockAhead(t *testing.T) {
	var s broughtSet
	id := block.Sum([]byte("b"))
	for range 40 {
		s.asked(id, time.Second)
	}
	if _, e := s.find(id); e != broughtAt(id, time.Second)|broughtAsked {
		t.Errorf("%x", e)
	}
	s.came(id, 2*time.Second)
	for range 40 {
		s.ended(id)
	}
	if _, e := s.find(id); e != broughtAt(id, 2*time.Second)|broughtBit {
		t.Errorf("%x", e)
	}
	if !s.take(id, 2*time.Second) || s.take(id, 2*time.Second) {
		t.Error("it is not taken once")
	}
	s.asked(id, 0) // and is never said to have ended
	s.came(id, broughtFor+2*time.Second)
	if at, e := s.find(id); at != nil {
		t.Errorf("%x is left", e)
	}
}

// Reads ahead and programs that end at one moment leave nothing behind.
func TestABlockIsTakenOnceByThoseWhoReadIt(t *testing.T) {
	var s broughtSet
	id := block.Sum([]byte("b"))
	for range 200 {
		var wg sync.WaitGroup
		var taken atomic.Int64
		for range 4 {
			s.asked(id, 0)
		}
		s.came(id, 0)
		for range 4 {
			wg.Go(func() { s.ended(id) })
			wg.Go(func() {
				if s.take(id, 0) {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if at, e := s.find(id); taken.Load() != 1 || at != nil {
			t.Fatalf("taken %d times, %x is left", taken.Load(), e)
		}
	}
}
