package prefetch

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zonecache/cached/block"
)

// What a profile is made from.
const (
	// MaxTraces is how many starts a profile is merged from: the latest ones.
	MaxTraces = 8
	// forgets is the weight of a start beside the one after it: after eight starts a
	// block that is no longer read counts a fifth of what it did.
	forgets = 0.8
	// DefaultShare is the share of starts that makes a block essential.
	DefaultShare = 0.5
)

// A Profile is what starts of a workload read of its image, merged from the traces
// of the last ones.
type Profile struct {
	Image    block.ID // the manifest
	Workload string
	Updated  time.Time // when the latest start began, to the millisecond
	Starts   uint32    // merged
	Blocks   uint32    // of the image
	// From is the manifest of the earlier version the profile was carried over from;
	// zero when starts of this one were recorded.
	From    block.ID
	Entries []Entry // in the order in which a start is expected to read them
}

// An Entry says how likely a start reads a block, and when.
type Entry struct {
	Block uint32        // its index in the image
	Share uint8         // of the starts that read it, later ones counting more; 255: all
	After time.Duration // into the start, to the millisecond; the median
}

// share returns the share of an entry as a number from 0 to 1.
func (e Entry) share() float64 { return float64(e.Share) / math.MaxUint8 }

// Merge makes the profile of one image and workload from its traces. It uses the
// latest MaxTraces of them; their order does not matter. The error matches
// ErrTrace where one is malformed, or of something else than the others.
func Merge(traces []*Trace) (*Profile, error) {
	if len(traces) == 0 {
		return nil, fmt.Errorf("%w: nothing to merge", ErrTrace)
	}
	traces = slices.Clone(traces)
	slices.SortStableFunc(traces, func(a, b *Trace) int { return b.Began.Compare(a.Began) })
	traces = traces[:min(len(traces), MaxTraces)]
	first := traces[0]
	p := &Profile{Image: first.Image, Workload: first.Workload, Updated: first.Began, Starts: uint32(len(traces)), Blocks: first.Blocks}

	type sample struct {
		weight float64
		ranks  []float64 // as a share of the start's touches
		after  []time.Duration
	}
	samples := map[uint32]*sample{}
	total, weight := 0.0, 1.0
	for _, t := range traces {
		if err := t.Check(); err != nil {
			return nil, err
		}
		if t.Image != p.Image || t.Workload != p.Workload || t.Blocks != p.Blocks {
			return nil, fmt.Errorf("%w: of %s %q with %d blocks beside %s %q with %d", ErrTrace,
				t.Image.Short(), t.Workload, t.Blocks, p.Image.Short(), p.Workload, p.Blocks)
		}
		for i, touch := range t.Touches {
			s := samples[touch.Block]
			if s == nil {
				s = &sample{}
				samples[touch.Block] = s
			}
			s.weight += weight
			s.ranks = append(s.ranks, float64(i))
			s.after = append(s.after, touch.After)
		}
		total += weight
		weight *= forgets
	}
	ranks := make(map[uint32]float64, len(samples))
	for i, s := range samples {
		ranks[i] = median(s.ranks)
		p.Entries = append(p.Entries, Entry{Block: i, Share: uint8(math.Round(s.weight / total * math.MaxUint8)), After: median(s.after)})
	}
	slices.SortFunc(p.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(ranks[a.Block], ranks[b.Block]), cmp.Compare(a.Block, b.Block))
	})
	return p, nil
}

// median returns the lower median, so that it is one of the values.
func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// Essential returns the indexes of the blocks that at least that share of the
// starts read, in the order in which to fetch them.
func (p *Profile) Essential(share float64) []uint32 {
	var blocks []uint32
	for _, e := range p.Entries {
		if e.share() >= share {
			blocks = append(blocks, e.Block)
		}
	}
	return blocks
}

// CarryOver makes the profile of another version of the image: of the blocks that
// are in both, and of those that stand where others did which are not there any
// more. was and is are the blocks of the two versions in order.
func (p *Profile) CarryOver(image block.ID, was, is []Block) (*Profile, error) {
	if len(was) != int(p.Blocks) {
		return nil, fmt.Errorf("%w: profile of an image of %d blocks, not %d", ErrTrace, p.Blocks, len(was))
	}
	a := align(was, is)
	next := &Profile{Image: image, Workload: p.Workload, Updated: p.Updated, Starts: p.Starts, Blocks: uint32(len(is)), From: p.Image}
	seen := make(map[uint32]bool, len(p.Entries))
	for _, e := range p.Entries {
		for _, i := range a.find(int(e.Block), was[e.Block].ID) {
			if !seen[i] {
				seen[i] = true
				next.Entries = append(next.Entries, Entry{Block: i, Share: e.Share, After: e.After})
			}
		}
	}
	return next, nil
}
