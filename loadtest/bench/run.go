package bench

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/loadtest/workload"
)

// Run loads the targets and returns what came of it. When ctx ends it stops asking,
// waits for what is under way, and returns the result so far beside the context's
// error.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	if err := r.reachable(ctx); err != nil {
		return nil, err
	}
	if o.Warmup > 0 {
		r.stage = "warm-up"
		if err := r.part(ctx, part{seed: o.Seed ^ warmupSeed, length: o.Warmup, arrivals: r.arrivals}); err != nil {
			return nil, err
		}
		r.rec = newRecorder()
	}
	r.stage = "measuring"
	began := time.Now()
	for r.round = 1; r.round <= o.Rounds && err == nil; r.round++ {
		err = r.measure(ctx)
	}
	if r.rec.seconds == 0 {
		return nil, err
	}
	return r.result(began, err), err
}

// warmupSeed makes the warm-up another load of the same kind.
const warmupSeed = 0x9e3779b97f4a7c15

// A run is what Run has under way.
type run struct {
	Options
	popularity workload.Popularity
	rec        *recorder
	servers    []ServerUse
	client     float64 // processor seconds while measuring

	mu      sync.Mutex
	notCold string

	stage    string
	round    int
	slots    chan struct{} // one for each arrival in progress
	held     atomic.Int64  // arrivals that a full run held back
	inFlight atomic.Int64
	arrived  atomic.Int64
	cursors  []atomic.Int64 // of images, where reads are in order
	readNo   atomic.Int64
}

func newRun(o Options) (*run, error) {
	p, err := workload.Zipf(len(o.Images), o.Zipf)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &run{
		Options: o, popularity: p, rec: newRecorder(), servers: make([]ServerUse, len(o.Targets)),
		slots: make(chan struct{}, o.MaxInFlight), cursors: make([]atomic.Int64, len(o.Images)),
	}, nil
}

// reachable returns an error unless all daemons answer.
func (r *run) reachable(ctx context.Context) error {
	for _, t := range r.Targets {
		if err := t.Client.Alive(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A part is a load without a pause: a round, or one burst of it.
type part struct {
	seed     uint64
	length   time.Duration // 0: until the arrivals end
	limit    int
	arrivals func(seed uint64) iter.Seq[workload.Arrival]
}

// arrivals are those of the process, in an open loop.
func (r *run) arrivals(seed uint64) iter.Seq[workload.Arrival] { return r.Process.Arrivals(seed) }

// measure does one round.
func (r *run) measure(ctx context.Context) error {
	for _, p := range r.parts() {
		thaw, err := r.chill(ctx)
		if err != nil {
			return err
		}
		before := r.look(ctx)
		used := processorTime()
		err = r.part(ctx, p)
		r.client += processorTime() - used
		r.count(before, r.look(context.WithoutCancel(ctx)))
		thaw()
		if err != nil {
			return err
		}
	}
	return nil
}

// parts are those of a round: each burst is one where the daemons are cold for it.
func (r *run) parts() []part {
	seed := r.Seed + uint64(r.round-1)
	whole := part{seed: seed, length: r.Duration, limit: r.Limit, arrivals: r.arrivals}
	if r.Cold == Warm || r.Process == nil || len(r.Process.Bursts()) < 2 {
		return []part{whole}
	}
	var parts []part
	for _, size := range r.Process.Bursts() {
		parts = append(parts, part{seed: seed, arrivals: workload.Bursts([]int{size}, 0).Arrivals})
	}
	return parts
}

// part runs one part to its end, while a sampler cuts time into intervals.
func (r *run) part(ctx context.Context, p part) error {
	begin := time.Now()
	r.rec.begin(begin, r.originReads(ctx))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r.sample(ctx, begin, p.length, stop)
	}()
	if r.Process != nil {
		r.open(ctx, begin, p)
	} else {
		r.closed(ctx, begin, p)
	}
	close(stop)
	<-stopped
	r.rec.end(time.Now(), r.originReads(context.WithoutCancel(ctx)))
	return ctx.Err()
}

// sample ends an interval of the time series again and again.
func (r *run) sample(ctx context.Context, begin time.Time, of time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(r.Interval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			r.rec.roll(time.Now(), r.originReads(ctx))
			reads, bytes, failed := r.rec.sums()
			r.Progress(Progress{Stage: r.stage, Round: r.round, Elapsed: time.Since(begin), Of: of, Reads: reads, Bytes: bytes, Errors: failed})
		}
	}
}

// open lets things begin when they should.
func (r *run) open(ctx context.Context, begin time.Time, p part) {
	var wg sync.WaitGroup
	defer wg.Wait()
	rng := workload.Rand(p.seed, "choice")
	functions := map[string]int{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	n := 0
	var full time.Time // when the last one that had to wait for a slot got it
	for group := range groups(p.arrivals(p.seed)) {
		at := group[0].At
		if p.length > 0 && at >= p.length || ctx.Err() != nil {
			return
		}
		if wait := time.Until(begin.Add(at)); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		for _, a := range group {
			if n++; p.limit > 0 && n > p.limit {
				return
			}
			one := r.choose(rng, functions, a.Name)
			one.intended, one.together = begin.Add(at), len(group)
			waited, ok := r.take(ctx)
			if !ok {
				return
			}
			if waited {
				full = time.Now()
			}
			if one.intended.Before(full) {
				r.held.Add(1)
			}
			wg.Go(func() {
				defer func() { <-r.slots }()
				r.rec.dispatched(time.Since(one.intended))
				r.do(ctx, one)
			})
		}
	}
}

// maxGroup bounds how many arrivals of one moment are looked at together.
const maxGroup = 1 << 20

// groups puts arrivals of the same moment together.
func groups(seq iter.Seq[workload.Arrival]) iter.Seq[[]workload.Arrival] {
	return func(yield func([]workload.Arrival) bool) {
		var group []workload.Arrival
		for a := range seq {
			if len(group) > 0 && (a.At != group[0].At || len(group) == maxGroup) {
				if !yield(group) {
					return
				}
				group = group[:0]
			}
			group = append(group, a)
		}
		if len(group) > 0 {
			yield(group)
		}
	}
}

// take gets a slot, and reports whether it had to wait for one.
func (r *run) take(ctx context.Context) (waited, ok bool) {
	select {
	case r.slots <- struct{}{}:
		return false, true
	default:
	}
	select {
	case r.slots <- struct{}{}:
		return true, true
	case <-ctx.Done():
		return true, false
	}
}

// closed lets clients ask again as soon as they are answered.
func (r *run) closed(ctx context.Context, begin time.Time, p part) {
	var wg sync.WaitGroup
	var n atomic.Int64
	for i := range r.Clients {
		wg.Go(func() {
			rng := workload.Rand(p.seed, fmt.Sprintf("client %d", i))
			for ctx.Err() == nil && (p.length == 0 || time.Since(begin) < p.length) && (p.limit == 0 || n.Add(1) <= int64(p.limit)) {
				one := r.choose(rng, nil, "")
				one.intended, one.together = time.Now(), r.Clients
				r.do(ctx, one)
			}
		})
	}
	wg.Wait()
}

// A job is one arrival.
type job struct {
	target   int
	image    int
	block    int // of a read
	intended time.Time
	together int // that arrive at the same moment
}

// choose says what an arrival is of. Functions of a trace get images in the order in
// which they appear, so that the trace's own popularity is kept.
func (r *run) choose(rng *rand.Rand, functions map[string]int, name string) job {
	j := job{target: int((r.arrived.Add(1) - 1) % int64(len(r.Targets)))}
	if name == "" {
		j.image = r.popularity.Next(rng)
	} else {
		f, known := functions[name]
		if !known {
			f = len(functions)
			functions[name] = f
		}
		j.image = f % len(r.Images)
	}
	if n := len(r.Images[j.image].Blocks); r.Order == Random {
		j.block = rng.IntN(n)
	} else {
		j.block = int((r.cursors[j.image].Add(1) - 1) % int64(n))
	}
	return j
}
