package main

import (
	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/prefetch"
)

// outcome returns what came of everything that was read ahead.
func (s *starts) outcome() prefetch.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.ended
	for run := range s.runs {
		all = all.Plus(run.Outcome())
	}
	all.Wasted = all.Wasted.Plus(s.packs.Wasted())
	return all
}

// proto describes what came of reading ahead.
func (s *starts) proto() *cachedv1.PrefetchLedger {
	o := s.outcome()
	p := &cachedv1.PrefetchLedger{
		Used: aheadProto(o.Used), Late: aheadProto(o.Late), Wasted: aheadProto(o.Wasted), Pending: aheadProto(o.Pending), Missed: uint64(o.Missed),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.books.Keys() {
		b, ok := s.books.Peek(w)
		if !ok || b.starts == 0 {
			continue
		}
		p.Workloads = append(p.Workloads, &cachedv1.WorkloadPrefetch{
			Image: b.image, Workload: w.Name, Starts: uint64(b.starts), Precision: b.last.Precision(), Recall: b.last.Recall(), Off: b.trust.Off(),
		})
	}
	return p
}

func aheadProto(c prefetch.Count) *cachedv1.Count {
	return &cachedv1.Count{Blocks: uint64(c.Blocks), Bytes: uint64(c.Bytes)}
}

// totals shows the same to the collector.
func (s *starts) totals() account.Ahead {
	o := s.outcome()
	a := account.Ahead{
		Used: account.Count(o.Used), Late: account.Count(o.Late), Wasted: account.Count(o.Wasted), Pending: account.Count(o.Pending), Missed: o.Missed,
	}
	if s.recorder != nil {
		r := s.recorder.Stats()
		a.Recorded, a.Refused, a.Lost = r.Recorded, r.Refused, r.Lost
	}
	return a
}
