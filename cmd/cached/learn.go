package main

import (
	"context"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/sparse"
	"github.com/zonecache/cached/tiers/origin"
)

// Learning never keeps anybody waiting, and is given up when it takes too long.
const (
	learnWithin  = 30 * time.Second
	learnAtEnd   = 5 * time.Second // once the daemon ends
	maxLearning  = 16
	learnStagger = 2 * time.Second // in a zone, for each doubling of its hosts
)

// A learner adds what starts read to their workloads' profiles.
type learner struct {
	library *prefetch.Library
	packer  *packer
	hosts   func() int              // of the zone
	told    func(prefetch.Workload) // more is known of what it reads
	says    sparse.Gate
	log     *slog.Logger
	ending  context.Context //nolint:containedctx // of the daemon
	end     context.CancelFunc
	slots   chan struct{}
	work    sync.WaitGroup
}

func newLearner(library *prefetch.Library, packer *packer, hosts func() int, log *slog.Logger) *learner {
	l := &learner{library: library, packer: packer, hosts: hosts, log: log, slots: make(chan struct{}, maxLearning)}
	l.ending, l.end = context.WithCancel(context.Background())
	return l
}

// learn takes a trace from the recorder.
func (l *learner) learn(t *prefetch.Trace, names []string) {
	l.slots <- struct{}{}
	l.work.Go(func() {
		defer func() { <-l.slots }()
		hosts := l.hosts()
		l.stagger(hosts)
		ctx, cancel := context.WithTimeout(context.Background(), learnWithin)
		defer cancel()
		defer context.AfterFunc(l.ending, func() { time.AfterFunc(learnAtEnd, cancel) })()
		names = slices.DeleteFunc(slices.Clone(names), isID)
		known, err := l.library.KnownFrom(ctx, t)
		if known && rand.N(hosts) > 0 { // a burst: others have told of it
			return
		}
		if err == nil {
			err = l.library.Learn(ctx, t, names)
			l.told(prefetch.Workload{Manifest: t.Image, Name: t.Workload})
		}
		if err != nil {
			l.says.Warn(l.log, "what a start read is known to this host only", "image", names, "workload", t.Workload, "error", err)
			return
		}
		if err := l.packer.update(ctx, prefetch.Workload{Manifest: t.Image, Name: t.Workload}); err != nil {
			l.says.Warn(l.log, "what a start read is not laid together", "image", names, "workload", t.Workload, "error", err)
		}
		l.log.Debug("learned what a start read", "image", names, "workload", t.Workload, "blocks", len(t.Touches))
	})
}

// stagger waits, so that the hosts of a zone that start a workload at once do not
// all tell of it at once.
func (l *learner) stagger(hosts int) {
	if hosts <= 1 {
		return
	}
	timer := time.NewTimer(rand.N(learnStagger * time.Duration(bits.Len(uint(hosts)))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ending.Done():
	}
}

// close waits for what is being learned, not for long.
func (l *learner) close() {
	l.end()
	l.work.Wait()
}

// An originShelf is an origin in the words of package prefetch.
type originShelf struct{ origin *origin.Origin }

var _ prefetch.Shelf = originShelf{}

// PutTrace implements [prefetch.Shelf].
func (s originShelf) PutTrace(ctx context.Context, w prefetch.Workload, name string, p []byte) error {
	return s.origin.PutTrace(ctx, origin.Workload(w), name, p)
}

// Traces implements [prefetch.Shelf].
func (s originShelf) Traces(ctx context.Context, w prefetch.Workload) ([]string, error) {
	return s.origin.Traces(ctx, origin.Workload(w))
}

// Trace implements [prefetch.Shelf].
func (s originShelf) Trace(ctx context.Context, w prefetch.Workload, name string) ([]byte, error) {
	return s.origin.Trace(ctx, origin.Workload(w), name)
}

// DeleteTrace implements [prefetch.Shelf].
func (s originShelf) DeleteTrace(ctx context.Context, w prefetch.Workload, name string) error {
	return s.origin.DeleteTrace(ctx, origin.Workload(w), name)
}

// Profile implements [prefetch.Shelf].
func (s originShelf) Profile(ctx context.Context, w prefetch.Workload) (block.ID, error) {
	return s.origin.Profile(ctx, origin.Workload(w))
}

// NamedProfile implements [prefetch.Shelf].
func (s originShelf) NamedProfile(ctx context.Context, name, workload string) (manifest, bundle block.ID, err error) {
	return s.origin.NamedProfile(ctx, name, workload)
}

// PutProfile implements [prefetch.Shelf].
func (s originShelf) PutProfile(ctx context.Context, w prefetch.Workload, bundle []byte, names []string) error {
	b := block.New(bundle, block.Origin)
	defer b.Release()
	if err := s.origin.PutBlock(ctx, b); err != nil {
		return err
	}
	return s.origin.PutProfile(ctx, origin.Workload(w), b.ID(), names)
}
