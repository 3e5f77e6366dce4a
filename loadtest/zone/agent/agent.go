package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// An agent reads one image.
type agent struct {
	from     source
	image    string
	workload string
	parallel int
	blocks   int
	skip     int
	timeout  time.Duration
	patience time.Duration

	start time.Time
	began float64 // processor time at the start
	mu    sync.Mutex
	said  report.Report
	took  []time.Duration
}

// maxErrors bounds the failures that are told in words.
const maxErrors = 5

// open opens the image and returns the distinct blocks to read, in order.
func (a *agent) open(ctx context.Context, ahead cachedv1.ReadAhead) []block.ID {
	var resp *cachedv1.OpenImageResponse
	refused, err := a.patiently(ctx, func() (err error) {
		resp, err = a.from.OpenImage(ctx, &cachedv1.OpenImageRequest{Image: a.image, Workload: a.workload, ReadAhead: ahead})
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said.Refused += refused
	if err != nil {
		a.failLocked(err)
		return nil
	}
	a.said.Manifest = resp.GetManifestId()
	if !a.start.IsZero() {
		a.said.Opened = a.since()
	}
	seen := map[block.ID]bool{}
	var ids []block.ID
	for _, ref := range resp.GetManifest().GetBlocks() {
		if id := block.ID(ref.GetId()); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	ids = ids[min(a.skip, len(ids)):]
	if a.blocks > 0 {
		ids = ids[:min(a.blocks, len(ids))]
	}
	return ids
}

// inOrder reads blocks in order.
func (a *agent) inOrder(ctx context.Context, ids []block.ID) {
	var next atomic.Int64
	a.each(func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(ids) {
				return
			}
			a.read(ctx, ids[i])
		}
	})
}

// onTime reads blocks in order, each when it is due, whether those before have come or
// not, until all have been read or ctx ends.
func (a *agent) onTime(ctx context.Context, ids []block.ID, every time.Duration) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, id := range ids {
		due := time.Duration(i) * every
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(a.start.Add(due))):
		}
		wg.Go(func() {
			failed := a.read(context.WithoutCancel(ctx), id)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.said.OnTime = append(a.said.OnTime, report.Read{Due: due.Seconds(), Took: a.since() - due.Seconds(), Failed: failed})
		})
	}
}

// loop reads blocks at random until ctx ends.
func (a *agent) loop(ctx context.Context, ids []block.ID, pause time.Duration) {
	if len(ids) == 0 {
		return
	}
	a.each(func() {
		for ctx.Err() == nil {
			// What has begun is finished: it must not fail.
			a.read(context.WithoutCancel(ctx), ids[rand.IntN(len(ids))])
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	})
}

func (a *agent) each(f func()) {
	var wg sync.WaitGroup
	for range a.parallel {
		wg.Go(f)
	}
	wg.Wait()
}

// read reads a block, and reports whether that failed.
func (a *agent) read(ctx context.Context, id block.ID) (failed bool) {
	ctx, cancel := context.WithTimeout(block.WithCall(ctx, block.Call{Image: a.image}), a.timeout)
	defer cancel()
	begin := time.Now()
	var b block.Block
	refused, err := a.patiently(ctx, func() (err error) {
		b, err = a.from.ReadBlock(ctx, id)
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said.Refused += refused
	if err != nil {
		a.failLocked(err)
		return true
	}
	if refused == 0 {
		a.took = append(a.took, time.Since(begin))
	}
	if a.said.Blocks == 0 {
		a.said.First = a.since()
		a.said.From = map[block.Tier]int64{}
	}
	a.said.Blocks++
	a.said.Bytes += int64(b.Len())
	a.said.From[b.From]++
	a.said.Last = a.since()
	b.Release()
	return false
}

// patiently calls f again while no daemon listens, and returns how often none did.
func (a *agent) patiently(ctx context.Context, f func() error) (refused int64, err error) {
	begin := time.Now()
	for err = f(); errors.Is(err, syscall.ECONNREFUSED) && time.Since(begin) < a.patience; err = f() {
		refused++
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return refused, err
}

// processorTime returns what this process has computed so far, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func (a *agent) since() float64 { return time.Since(a.start).Seconds() }

func (a *agent) failLocked(err error) {
	a.said.Failed++
	if errors.Is(err, block.ErrCorrupt) {
		a.said.Wrong++
	}
	if len(a.said.Errors) < maxErrors {
		a.said.Errors = append(a.said.Errors, fmt.Sprintf("%.3f s: %v", a.since(), err))
	}
}

func (a *agent) report() report.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said.CPU = processorTime() - a.began
	if n := len(a.took); n > 0 {
		slices.Sort(a.took)
		at := func(q float64) float64 { return a.took[min(int(q*float64(n)), n-1)].Seconds() }
		a.said.P50, a.said.P99, a.said.P999, a.said.Slowest = at(0.5), at(0.99), at(0.999), at(1)
	}
	return a.said
}
