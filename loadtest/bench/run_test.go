package bench

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/loadtest/workload"
)

func TestClosedLoop(t *testing.T) {
	for _, e := range []api.Encoding{api.EncodingRaw, api.EncodingConnect, api.EncodingGRPC} {
		t.Run(e.String(), func(t *testing.T) {
			d := newDaemon(t, 10, e)
			o := d.options()
			o.Clients, o.Limit, o.VerifyEvery = 4, 200, 4
			r := mustRun(t, o)
			if r.Reads != 200 || r.Bytes != 200*4096 || r.Tiers["l1"].Count != 200 || r.Errors != 0 || r.Verified != 50 || r.Wrong != 0 || r.HitRate != 1 {
				t.Errorf("%d reads, %d bytes, tiers %v, %d errors, %d verified", r.Reads, r.Bytes, r.Tiers, r.Errors, r.Verified)
			}
			if r.CPU.ServerSeconds == nil || *r.CPU.ServerSeconds != 200 { // the metrics say one second a read
				t.Errorf("server CPU %v: %+v", r.CPU.ServerSeconds, r.Daemon)
			}
			if r.Load.Encoding != e.String() || r.Load.Loop != "closed" {
				t.Errorf("%+v", r.Load)
			}
			if err := r.Failure(0); err != nil {
				t.Error(err)
			}
		})
	}
}

// A daemon that stands still for a while is seen by everything that would have arrived
// meanwhile. A client that waits for its answer, or a generator that counts from when
// it sends, sees one slow read per connection, and a p99 as if nothing had been.
func TestNoCoordinatedOmission(t *testing.T) {
	const still = 300 * time.Millisecond
	d := newDaemon(t, 10, api.EncodingRaw)
	var once sync.Once
	goesOn := make(chan struct{})
	d.serve = func(context.Context) error {
		if d.reads.Load() > 200 {
			once.Do(func() { time.AfterFunc(still, func() { close(goesOn) }) })
			<-goesOn
		}
		return nil
	}
	o := d.options()
	o.Process, o.Limit = process(t, "uniform:1000/s"), 1000
	r := mustRun(t, o)
	// 300 of the 1000 arrive while it stands still; two thirds of them wait for more
	// than 100 ms. One connection that waits for its answer would have seen one.
	atMost := 0.0
	for _, p := range r.All.CDF {
		if p[0] <= 100 {
			atMost = p[1]
		}
	}
	if r.Reads != 1000 || 1-atMost < 0.15 || r.All.P99 < 250 {
		t.Errorf("%d reads, %.3f of them took more than 100 ms, p99 %.1f ms: the stall of %s is not in the tail", r.Reads, 1-atMost, r.All.P99, still)
	}
}

// Also where too many are in progress, so that the client has to hold arrivals back: all
// but the first two, which stand at the gate for half a second.
func TestHeldArrivalsCountFromWhenTheyShouldHaveBegun(t *testing.T) {
	const gate = 500 * time.Millisecond
	d := newDaemon(t, 10, api.EncodingRaw)
	opens := make(chan struct{})
	var first sync.Once
	d.serve = func(context.Context) error {
		first.Do(func() { time.AfterFunc(gate, func() { close(opens) }) })
		<-opens
		return nil
	}
	o := d.options()
	o.Process, o.MaxInFlight = process(t, "burst:20"), 2
	r := mustRun(t, o)
	const least = 490 // ms: what is counted has a resolution
	if r.Held != 18 || r.All.P50 < least || r.All.Max < least || r.Dispatch.Max < least {
		t.Errorf("%d held, median %.1f ms, slowest %.1f, dispatched up to %.1f ms late: 18 of 20 are held for %s", r.Held, r.All.P50, r.All.Max, r.Dispatch.Max, gate)
	}
}

func TestStartsOverConcurrency(t *testing.T) {
	d := newDaemon(t, 8, api.EncodingRaw)
	d.now(func() { d.tier = block.Origin })
	o := d.options()
	o.Unit, o.Parallel, o.Process = Starts, 2, process(t, "bursts:1,3@50ms")
	r := mustRun(t, o)
	if r.Starts.Count != 4 || r.Starts.Failed != 0 || r.Reads != 32 || r.HitRate != 0 {
		t.Fatalf("%d starts, %d reads, hit rate %g", r.Starts.Count, r.Reads, r.HitRate)
	}
	rows := r.Starts.ByConcurrency()
	if len(rows) != 2 || rows[0].Together != 1 || rows[1].Together != 3 || rows[1].Starts != 3 {
		t.Errorf("%+v", rows)
	}
	if r.Origin == nil || r.Origin.Bytes != 32*4096 || r.Origin.PerByte != 1 {
		t.Errorf("origin: %+v", r.Origin)
	}
	var series uint64
	for _, s := range r.Series {
		if s.Origin != nil {
			series += s.Origin.Bytes
		}
	}
	if series != 32*4096 {
		t.Errorf("the time series has %d origin bytes", series)
	}
	d.mu.Lock()
	delete(d.held, d.blocks[3].ID)
	d.mu.Unlock()
	if r := mustRun(t, o); r.Starts.Failed != 4 || r.ByCode["not_found"] != 4 || r.Failure(0) == nil || r.Failure(0.5) != nil {
		t.Errorf("a block is gone: %d starts failed, %v", r.Starts.Failed, r.ByCode)
	}
}

func TestWrongBytesAreFound(t *testing.T) {
	d := newDaemon(t, 4, api.EncodingRaw)
	d.wrong = blocktest.Block(77, 4096)
	defer d.wrong.Release()
	o := d.options()
	o.Clients, o.Limit, o.VerifyEvery = 1, 10, 1
	r := mustRun(t, o)
	if err := r.Failure(1); r.Wrong != 10 || r.ByCode["wrong_bytes"] != 10 || err == nil || !strings.Contains(err.Error(), "wrong bytes") {
		t.Errorf("%d wrong, %v", r.Wrong, err)
	}
}

func TestWarmupIsNotCounted(t *testing.T) {
	d := newDaemon(t, 4, api.EncodingRaw)
	o := d.options()
	o.Process, o.Warmup, o.Limit = process(t, "poisson:1000/s"), 100*time.Millisecond, 50
	if r := mustRun(t, o); r.Reads != 50 || d.reads.Load() <= 50 {
		t.Errorf("%d reads counted of %d", r.Reads, d.reads.Load())
	}
}

func TestAnInterruptedRunIsToldOf(t *testing.T) {
	d := newDaemon(t, 4, api.EncodingRaw)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once atomic.Bool
	d.serve = func(context.Context) error {
		if d.reads.Load() >= 20 && once.CompareAndSwap(false, true) {
			cancel()
		}
		return nil
	}
	o := d.options()
	o.Clients, o.Duration = 2, time.Hour
	r, err := Run(ctx, o)
	if err == nil || r == nil || !r.Interrupted || r.Reads < 20 || r.Errors != 0 || r.CPU.ServerSeconds == nil {
		t.Errorf("%v: %+v", err, r)
	}
}

// The same seed reads the same blocks of the same images.
func TestTheSameSeedAsksTheSame(t *testing.T) {
	asked := func(seed uint64) (ids []int) {
		r, err := newRun(Options{Targets: make([]Target, 2), Images: []Image{{Blocks: make([]Block, 100)}, {Blocks: make([]Block, 50)}}, Zipf: 1, Order: Random, MaxInFlight: 1})
		if err != nil {
			t.Fatal(err)
		}
		rng, functions := workload.Rand(seed, "choice"), map[string]int{}
		for range 100 {
			j := r.choose(rng, functions, "")
			ids = append(ids, j.target<<20|j.image<<10|j.block)
		}
		return ids
	}
	a, b, c := asked(1), asked(1), asked(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("what is asked does not follow from the seed")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	d := newDaemon(t, 1, api.EncodingRaw)
	for want, edit := range map[string]func(*Options){
		"no daemon":    func(o *Options) { o.Targets = nil },
		"no image":     func(o *Options) { o.Images = nil },
		"no blocks":    func(o *Options) { o.Images[0].Blocks = nil },
		"unit":         func(o *Options) { o.Unit = "bits" },
		"order":        func(o *Options) { o.Order = "reverse" },
		"arrivals nor": func(o *Options) { o.Clients = 0 },
		"never end":    func(o *Options) { o.Limit = 0 },
		"cold by":      func(o *Options) { o.Cold = "ice" },
		"negative":     func(o *Options) { o.Duration = -1 },
		"interval":     func(o *Options) { o.Interval = 1 },
		"exponent":     func(o *Options) { o.Zipf = -1 },
	} {
		o := d.options()
		o.Clients, o.Limit = 1, 1
		edit(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(want, " nor")) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
