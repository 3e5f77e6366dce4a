package account

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// Any sequence of requests, by any image, of any outcome: the books balance
// after each, and agree with a plain map. Images come and go beyond the bound.
func TestBooksBalanceAndAgreeWithAModel(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 4, 777)
	fails := []error{block.ErrNotFound, block.ErrCorrupt, block.ErrUnavailable, block.ErrOverloaded, context.Canceled, fmt.Errorf("?")}
	rapid.Check(t, func(t *rapid.T) {
		l := New(Options{Images: rapid.IntRange(1, 6).Draw(t, "images")})
		perImage := map[string]*ByCause[Served]{}
		var total ByCause[Served]
		var media [len(block.Tiers) + 1]int64
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			image := fmt.Sprint("image", rapid.IntRange(0, 9).Draw(t, "image"))
			cause := rapid.SampledFrom(block.Causes[:]).Draw(t, "cause")
			tier := rapid.SampledFrom(block.Tiers[:]).Draw(t, "tier")
			b := rapid.SampledFrom(blocks).Draw(t, "block")
			var err error
			if rapid.Bool().Draw(t, "fails") {
				err = rapid.SampledFrom(fails).Draw(t, "error")
			}
			read(call(image, cause), l.Requests(l.Reader(tier, answer(b, tier, err))), b.ID())

			if perImage[image] == nil {
				perImage[image] = &ByCause[Served]{}
			}
			one := Served{Errors: 1}
			if err == nil {
				one = Served{}
				*one.Tier(tier) = Count{1, int64(b.Len())}
				media[tier]++
			}
			*perImage[image].Of(cause) = perImage[image].Of(cause).Plus(one)
			*total.Of(cause) = total.Of(cause).Plus(one)
			if err := l.Check(); err != nil {
				t.Fatal(err)
			}
		}
		s := l.Snapshot()
		if s.Requests.InFlight != 0 || s.Requests.Served != total {
			t.Fatalf("requests %+v, want %+v", s.Requests.Served, total)
		}
		for i, tier := range block.Tiers {
			if got := s.Tiers[i].Hits.Blocks; got != media[tier] {
				t.Fatalf("%s: %d hits, want %d", tier, got, media[tier])
			}
		}
		for _, i := range s.Images {
			if want := perImage[i.Name]; s.Retired == 0 && i.Served != *want {
				t.Fatalf("%s: %+v, want %+v", i.Name, i.Served, want)
			}
		}
	})
}

// Requests run while the books are checked, over more images than have books,
// so that books are retired under the feet of those who count in them.
func TestBooksBalanceUnderLoad(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	l := New(Options{Images: 3})
	const workers, each = 6, 4000
	var stop atomic.Bool
	var checks, work sync.WaitGroup
	checks.Go(func() {
		for !stop.Load() {
			if err := l.Check(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range workers {
		work.Go(func() {
			for range each {
				tier := block.Tiers[rand.IntN(len(block.Tiers))]
				var err error
				if rand.IntN(4) == 0 {
					err = block.ErrUnavailable
				}
				r := l.Requests(l.Reader(tier, answer(b, tier, err)))
				read(call(fmt.Sprint(rand.IntN(8)), block.Causes[rand.IntN(3)]), r, b.ID())
			}
		})
	}
	work.Wait()
	stop.Store(true)
	checks.Wait()
	s := balance(t, l)
	if s.Requests.InFlight != 0 || s.Requests.Finished != workers*each || s.Retired == 0 {
		t.Fatalf("%d in flight, %d finished of %d, %d books retired",
			s.Requests.InFlight, s.Requests.Finished, workers*each, s.Retired)
	}
}

// Check must notice each way in which books can be wrong.
func TestCheckFindsCookedBooks(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	l := New(Options{})
	for _, tier := range block.Tiers {
		read(call("flask", block.Demand), l.Requests(l.Reader(tier, answer(b, tier, nil))), b.ID())
	}
	read(call("flask", block.Demand), l.Requests(l.Reader(block.Origin, answer(b, 0, block.ErrCorrupt))), b.ID())
	for name, cook := range map[string]func(*Snapshot){
		"a request that was not accounted":     func(s *Snapshot) { s.Requests.Started.Demand++ },
		"a request accounted twice":            func(s *Snapshot) { s.Requests.Served.Demand.L1.Blocks++ },
		"finished more often than started":     func(s *Snapshot) { s.Requests.Finished++; s.Requests.InFlight-- },
		"under another cause":                  func(s *Snapshot) { s.Requests.Started.Demand--; s.Requests.Started.Repair++ },
		"bytes from nowhere":                   func(s *Snapshot) { s.Requests.Served.Demand.L3.Bytes++ },
		"an error of no kind":                  func(s *Snapshot) { s.Requests.Errors.Demand.Corrupt = 0 },
		"an error of another cause":            func(s *Snapshot) { e := &s.Requests.Errors; e.Demand, e.Repair = e.Repair, e.Demand },
		"an image without its error":           func(s *Snapshot) { s.Images[0].Served.Demand.Errors = 0 },
		"an image served by another tier":      func(s *Snapshot) { i := &s.Images[0].Served.Demand; i.L1, i.L2 = i.L2, Count{} },
		"a forgotten image":                    func(s *Snapshot) { s.Images = nil },
		"a read of a medium without result":    func(s *Snapshot) { s.Tiers[0].Started++ },
		"a medium ahead of itself":             func(s *Snapshot) { s.Tiers[0].InFlight = -1 },
		"bytes no block can hold":              func(s *Snapshot) { s.Tiers[2].Hits.Bytes = 2 << 20 },
		"more owned blocks than distinct ones": func(s *Snapshot) { s.Origin.OwnedBlocks = s.Origin.DistinctBlocks + 1 },
		"more distinct blocks than reads":      func(s *Snapshot) { s.Origin.DistinctBlocks = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := balance(t, l)
			cook(&s)
			if err := s.Check(); err == nil {
				t.Fatal("the books balance")
			} else {
				t.Log(err)
			}
		})
	}
}
