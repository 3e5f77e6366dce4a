package peers

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
)

// coldReaders ask at once for what no cache has.
const coldReaders = 16

// largeBlocks is the length of the large object, in blocks.
const largeBlocks = 64

// parallel is how many blocks of a large object a reader of the daemon asks for at
// once; an agent reads up to 32 ahead.
const parallel = 4

// TestProvePeersCold has readers ask at once for one object that no cache has: what is
// read of the store then, by what there is to read, and how long the last reader waits.
func TestProvePeersCold(t *testing.T) {
	store := newOrigin()
	peers := start(t, store)
	cold(t, "peers.cold.block", store, peers, pick(8, 1), func() object { return randomObjects(1, blockSize)[0] })
	cold(t, "peers.cold.large", store, peers, pick(5, 1), func() object { return largeObject(pick(largeBlocks, 4)) })
}

// A coldRead is what one peer made of readers that came at once.
type coldRead struct {
	took                  []float64 // seconds until the last reader had all, by round
	bytes, requests, size float64
}

// cold measures peers in turn, each with an object of its own a round, and reports
// figures that begin with name.
func cold(t *testing.T, name string, store *origin, peers []peer, rounds int, next func() object) {
	t.Helper()
	reads := map[string]*coldRead{}
	for _, p := range peers {
		reads[p.name] = &coldRead{}
	}
	order := rand.New(rand.NewPCG(1, 2)) // no side always follows the same other
	for range rounds {
		for _, i := range order.Perm(len(peers)) {
			p, o := peers[i], next()
			store.add(o)
			p.door.idle(t)
			p.door.bytes.Store(0)
			p.door.requests.Store(0)
			r := reads[p.name]
			r.took = append(r.took, p.readTogether(t, o).Seconds())
			p.door.idle(t)
			r.bytes += float64(p.door.bytes.Load())
			r.requests += float64(p.door.requests.Load())
			r.size += float64(len(o.body))
			store.clear()
		}
	}
	for _, p := range peers {
		r := reads[p.name]
		figure.Report(t, name+"."+p.name+".origin_by_distinct", r.bytes/r.size, "x")
		figure.Report(t, name+"."+p.name+".origin_requests", r.requests/float64(rounds), "requests")
		figure.Report(t, name+"."+p.name+".last_s", rate.Median(r.took), "s")
		if p.name == ours && r.bytes != r.size {
			t.Errorf("%s: the store was read for %.0f bytes of %.0f", name, r.bytes, r.size)
		}
		if p.name != ours {
			figure.Report(t, name+".vs_"+p.name, rate.Median(r.took)/rate.Median(reads[ours].took), "x")
		}
	}
}

// readTogether has coldReaders read an object at once, compare every byte, and returns
// how long the last one took.
func (p peer) readTogether(t *testing.T, o object) time.Duration {
	t.Helper()
	lanes := [][]object{{o}} // what a reader asks for on each of its connections
	if p.blocks && len(o.parts) > 0 {
		lanes = lanes[:0]
		for i := range parallel {
			var lane []object
			for n := i; n < len(o.parts); n += parallel {
				lane = append(lane, o.parts[n])
			}
			lanes = append(lanes, lane)
		}
	}
	conns := make([]*rate.Conn, coldReaders*len(lanes))
	for i := range conns {
		conns[i] = rate.Connect(t, p.address, blockSize)
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	began := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			for _, o := range lanes[i%len(lanes)] {
				if errs[i] = p.read(c, o); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		t.Fatalf("%s: %v", p.name, errs[i])
	}
	return took
}
