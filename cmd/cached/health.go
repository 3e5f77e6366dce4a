package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/tiers/origin"
)

// health knows whether the daemon is ready: whether it can serve blocks it does
// not hold yet.
type health struct {
	origin *origin.Origin
	log    *slog.Logger

	mu       sync.Mutex
	draining bool
	joining  bool // the zone: agents are not answered yet
	checked  bool
	problems []string  // one for each origin, "" when it answers
	asked    time.Time // when the last check of all ended
}

const (
	healthyInterval = 15 * time.Second // between checks of origins that answer
	failingInterval = 2 * time.Second  // until they answer again
	checkTimeout    = 5 * time.Second
	againEvery      = 500 * time.Millisecond // checks because somebody asks
	againTimeout    = 500 * time.Millisecond
)

func newHealth(o *origin.Origin, log *slog.Logger) *health {
	return &health{origin: o, log: log, problems: make([]string, len(o.Origins()))}
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
		case <-time.After(interval):
		}
	}
}

// check asks every origin and reports whether all answered.
func (h *health) check(ctx context.Context) bool {
	all := true
	for i, o := range h.origin.Origins() {
		checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
		err := o.Check(checkCtx)
		cancel()
		if ctx.Err() != nil {
			return true
		}
		h.note(i, o.String(), err)
		all = all && err == nil
	}
	h.mu.Lock()
	h.checked, h.asked = true, time.Now()
	h.mu.Unlock()
	return all
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

// now returns why the daemon is not ready. Origins of which none answered when they
// were asked last are asked once more, so that whoever wants to know is told of now;
// those that hang are not waited for.
func (h *health) now(ctx context.Context) []string {
	h.mu.Lock()
	due := h.checked && !h.draining && !slices.Contains(h.problems, "") && time.Since(h.asked) >= againEvery
	h.mu.Unlock()
	if due {
		ctx, cancel := context.WithTimeout(ctx, againTimeout)
		defer cancel()
		h.check(ctx)
	}
	return h.notReady()
}

// originProblems returns the last problem of each origin, "" when it answers.
func (h *health) originProblems() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.problems...)
}
