package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
)

// A drillSample is what happened in the zone in one interval of about a second.
type drillSample struct {
	Seconds        float64 `json:"seconds"` // since the first node took part
	Empty          bool    `json:"empty"`   // the caches of all seem empty
	HitRate        float64 `json:"hit_rate"`
	Reads          float64 `json:"reads_per_second"`
	OriginReads    float64 `json:"origin_reads_per_second"`
	OriginBytes    float64 `json:"origin_bytes_per_second"`
	OriginInFlight uint64  `json:"origin_reads_in_progress"`
	Failed         uint64  `json:"failed_reads"`
}

// A drillReport is a drill as people and scripts read it.
type drillReport struct {
	Nodes          []string      `json:"nodes"`
	HitRateBefore  float64       `json:"hit_rate_before"`
	HitRateLowest  float64       `json:"hit_rate_lowest"`
	Share          float64       `json:"recovered_at_share"`
	Recovered      bool          `json:"recovered"`
	RecoverySecond float64       `json:"recovery_seconds"` // since the caches seem empty
	OriginReads    uint64        `json:"origin_reads"`     // since then
	OriginBytes    uint64        `json:"origin_bytes"`
	OriginMost     uint64        `json:"origin_reads_in_progress_most"`
	Reads          uint64        `json:"reads"`
	Failed         uint64        `json:"failed_reads"`
	Problems       []string      `json:"problems,omitempty"` // of nodes
	Samples        []drillSample `json:"samples"`

	now    func() time.Time
	began  time.Time
	first  map[string]*cachedv1.NodeDrill // what each node said first: it counts from there
	last   map[string]*cachedv1.NodeDrill
	totals []drillTotals // at the samples, and one before
	fell   int           // the index in totals of the last before the caches seemed empty; 0: they do not
}

// drillTotals are the nodes' counts, added up.
type drillTotals struct {
	at                           time.Time
	reads, failed, origin, bytes uint64
}

func newDrillReport(share float64) *drillReport {
	return &drillReport{Share: share, now: time.Now, first: map[string]*cachedv1.NodeDrill{}, last: map[string]*cachedv1.NodeDrill{}}
}

// hear takes in what a node says.
func (r *drillReport) hear(n *cachedv1.NodeDrill) {
	if r.began.IsZero() {
		r.began = r.now()
	}
	name := n.GetNode()
	if n.GetProblem() != "" {
		r.Problems = append(r.Problems, name+": "+n.GetProblem())
	}
	if r.first[name] == nil {
		r.first[name] = n
		r.Nodes = slices.Sorted(maps.Keys(r.first))
	}
	r.last[name] = n
}

// drillWindow is over how many samples the hit rate is taken that says whether the zone has
// recovered: one second of few reads says little.
const drillWindow = 3

// sample adds the interval since the last one; false when there is nothing to compare
// with yet, or the drill is over.
func (r *drillReport) sample() (drillSample, bool) {
	if len(r.last) == 0 || r.Recovered {
		return drillSample{}, false
	}
	total := drillTotals{at: r.now()}
	s := drillSample{Seconds: total.at.Sub(r.began).Seconds(), Empty: true}
	for name, n := range r.last {
		first := r.first[name]
		total.reads += since(first.GetServed().GetBlocks(), n.GetServed().GetBlocks())
		total.failed += since(first.GetErrors(), n.GetErrors())
		total.origin += since(first.GetOriginReads().GetBlocks(), n.GetOriginReads().GetBlocks())
		total.bytes += since(first.GetOriginReads().GetBytes(), n.GetOriginReads().GetBytes())
		if n.GetState() == cachedv1.DrillState_DRILL_STATE_FAILED {
			continue
		}
		s.OriginInFlight += n.GetOriginInFlight()
		s.Empty = s.Empty && n.GetState() == cachedv1.DrillState_DRILL_STATE_EMPTY
	}
	r.totals = append(r.totals, total)
	last := len(r.totals) - 1
	if last == 0 {
		return drillSample{}, false
	}
	if s.Empty && r.fell == 0 {
		r.fell = last - 1
		r.HitRateBefore, r.HitRateLowest = hitRate(r.totals[0], r.totals[r.fell]), 1
	}
	was := r.totals[last-1]
	seconds := max(total.at.Sub(was.at).Seconds(), 1e-3)
	s.HitRate = hitRate(was, total)
	s.Reads = float64(since(was.reads, total.reads)) / seconds
	s.OriginReads = float64(since(was.origin, total.origin)) / seconds
	s.OriginBytes = float64(since(was.bytes, total.bytes)) / seconds
	s.Failed = since(was.failed, total.failed)
	r.Samples = append(r.Samples, s)
	if s.Empty {
		r.judge(s, total)
	}
	return s, true
}

// judge adds a sample of empty caches to what the drill comes to.
func (r *drillReport) judge(s drillSample, total drillTotals) {
	fell := r.totals[r.fell]
	r.Reads, r.Failed = since(fell.reads, total.reads), since(fell.failed, total.failed)
	r.OriginReads, r.OriginBytes = since(fell.origin, total.origin), since(fell.bytes, total.bytes)
	r.OriginMost = max(r.OriginMost, s.OriginInFlight)
	if s.Reads > 0 {
		r.HitRateLowest = min(r.HitRateLowest, s.HitRate)
	}
	empty := len(r.totals) - 1 - r.fell
	if empty < drillWindow || r.Reads == 0 {
		return
	}
	from := r.totals[len(r.totals)-1-drillWindow]
	if total.reads > from.reads && hitRate(from, total) >= r.Share*r.HitRateBefore {
		r.Recovered, r.RecoverySecond = true, total.at.Sub(fell.at).Seconds()
	}
}

// hitRate is the share of programs' reads that caused none of the origin; one that was
// ahead of its program may count in an earlier interval than the program's.
func hitRate(from, to drillTotals) float64 {
	reads := since(from.reads, to.reads)
	if reads == 0 {
		return 0
	}
	return max(0, 1-float64(since(from.origin, to.origin))/float64(reads))
}

// since is how much a count grew; that of a node which was started anew has shrunk.
func since(from, to uint64) uint64 { return max(to, from) - from }

// problem says what of the drill did not go as it should.
func (r *drillReport) problem() error {
	var errs []string
	if len(r.Problems) > 0 {
		errs = append(errs, fmt.Sprintf("%d nodes did not take part to the end", len(r.Problems)))
	}
	switch {
	case r.fell == 0 && len(errs) == 0:
		errs = append(errs, "it ended before the caches of all nodes seemed empty")
	case r.fell > 0 && (r.Reads == 0 || r.HitRateBefore == 0):
		errs = append(errs, "nobody read anything that was there: run it while programs read")
	case r.fell > 0 && !r.Recovered:
		errs = append(errs, fmt.Sprintf("the hit rate was not back at %.0f %% of %.1f %% in time", 100*r.Share, 100*r.HitRateBefore))
	}
	if r.Failed > 0 {
		errs = append(errs, fmt.Sprintf("%d reads failed", r.Failed))
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.New("drill: " + strings.Join(errs, "; "))
}

func (r *drillReport) print(w io.Writer) error {
	back := "no"
	if r.Recovered {
		back = fmt.Sprintf("after %.0f s", r.RecoverySecond)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	_, err := fmt.Fprintf(w, `
nodes               %d
hit rate before     %.1f %%
lowest              %.1f %%
back at %3.0f %% of it  %s
reads               %d, of which %d failed
reads of the origin %d, %s, at most %d in progress
`, len(r.Nodes), 100*r.HitRateBefore, 100*r.HitRateLowest, 100*r.Share, back, r.Reads, r.Failed, r.OriginReads, bytesText(int64(r.OriginBytes)), r.OriginMost)
	return err
}
