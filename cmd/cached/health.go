package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/tiers/origin"
)

// health knows whether the daemon is ready: whether it can serve blocks it does
// not hold yet.
type health struct {
	origin *origin.Origin
	log    *slog.Logger

	poke chan struct{} // has the origins asked before their time

	mu       sync.Mutex
	draining bool
	joining  bool // the zone: agents are not answered yet
	checked  bool
	problems []string      // one for each origin, "" when it answers
	began    time.Time     // when the last check of all did
	done     chan struct{} // closed when the check in progress has ended; nil: none is
}

const (
	healthyInterval = 15 * time.Second // between checks of origins that answer
	failingInterval = 2 * time.Second  // until they answer again
	checkTimeout    = 5 * time.Second
	againEvery      = 500 * time.Millisecond // at least, between checks because somebody asks
	againTimeout    = 500 * time.Millisecond // that one waits for such a check
)

func newHealth(o *origin.Origin, log *slog.Logger) *health {
	return &health{origin: o, log: log, problems: make([]string, len(o.Origins())), poke: make(chan struct{}, 1)}
}

// watch checks the origins until ctx ends.
func (h *health) watch(ctx context.Context) {
	for {
		interval := healthyInterval
		if !h.check(ctx) {
			interval = failingInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-h.poke:
		case <-time.After(interval):
		}
	}
}

// check asks every origin and reports whether all answered. There is one at a time.
func (h *health) check(ctx context.Context) bool {
	h.mu.Lock()
	h.began = time.Now()
	if h.done == nil {
		h.done = make(chan struct{})
	}
	done := h.done
	h.mu.Unlock()
	var failed atomic.Bool
	var all sync.WaitGroup
	for i, o := range h.origin.Origins() {
		all.Go(func() {
			checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			err := o.Check(checkCtx)
			if ctx.Err() != nil {
				return
			}
			h.note(i, o.String(), err)
			if err != nil {
				failed.Store(true)
			}
		})
	}
	all.Wait()
	h.mu.Lock()
	h.checked = h.checked || ctx.Err() == nil
	h.done = nil
	h.mu.Unlock()
	close(done)
	return !failed.Load()
}

func (h *health) note(i int, url string, err error) {
	h.mu.Lock()
	was := h.problems[i]
	h.problems[i] = ""
	if err != nil {
		h.problems[i] = err.Error()
	}
	now := h.problems[i]
	h.mu.Unlock()
	switch {
	case now != "" && now != was:
		h.log.Warn("origin does not answer; serving what is cached", "origin", url, "error", now)
	case now == "" && was != "":
		h.log.Info("origin answers again", "origin", url)
	}
}

// join notes that the node has joined its zone, or found nobody there.
func (h *health) join() {
	h.mu.Lock()
	h.joining = false
	h.mu.Unlock()
}

// drain makes the daemon not ready for good.
func (h *health) drain() {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
}

// notReady returns why the daemon is not ready; nothing means it is. One origin
// that answers is enough.
func (h *health) notReady() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return []string{"draining: the daemon is about to stop"}
	}
	if h.joining {
		return []string{"starting: joining the zone"}
	}
	if !h.checked {
		return []string{"starting: the origin was not asked yet"}
	}
	var reasons []string
	for _, p := range h.problems {
		if p == "" {
			return nil
		}
		reasons = append(reasons, fmt.Sprintf("only cached blocks are served: %s", p))
	}
	return reasons
}

// now returns why the daemon is not ready. Origins that were not asked yet, or of which
// none answered when they were, are asked once more, so that whoever wants to know is told of now:
// not more often for many who ask, and those that hang are not waited for.
func (h *health) now(ctx context.Context) []string {
	h.mu.Lock()
	failing := !h.draining && (!h.checked || !slices.Contains(h.problems, ""))
	due, done := time.Since(h.began) >= againEvery, h.done
	if failing && due && done == nil {
		done = make(chan struct{})
		h.done = done // of the check that begins now
		select {
		case h.poke <- struct{}{}:
		default:
		}
	}
	h.mu.Unlock()
	if failing && done != nil {
		timer := time.NewTimer(againTimeout)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return h.notReady()
}

// originProblems returns the last problem of each origin, "" when it answers.
func (h *health) originProblems() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.problems...)
}
