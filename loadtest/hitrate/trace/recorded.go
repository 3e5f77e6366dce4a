package trace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/zonecache/cached/loadtest/workload"
)

// A Recording is what starts of real images read, as TestRecordStarts in loadtest/host
// wrote it.
type Recording struct {
	Blocks []struct {
		ID   string `json:"id"`   // the first 6 bytes
		Size int64  `json:"size"` // stored bytes
	} `json:"blocks"`
	Starts []struct {
		Image  string  `json:"image"`
		Blocks []int   `json:"blocks"` // in the order of their first touch
		After  []int64 `json:"ms"`     // since the start began
	} `json:"starts"`
}

// ReadRecording reads one.
func ReadRecording(r io.Reader) (*Recording, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var rec Recording
	if err := d.Decode(&rec); err != nil {
		return nil, fmt.Errorf("recording of starts: %w", err)
	}
	if len(rec.Starts) == 0 {
		return nil, fmt.Errorf("recording of starts: there are none")
	}
	for _, s := range rec.Starts {
		if len(s.Blocks) != len(s.After) {
			return nil, fmt.Errorf("recording of starts: %s reads %d blocks at %d times", s.Image, len(s.Blocks), len(s.After))
		}
		for _, b := range s.Blocks {
			if b < 0 || b >= len(rec.Blocks) || rec.Blocks[b].Size < 1 {
				return nil, fmt.Errorf("recording of starts: %s reads block %d, which is none", s.Image, b)
			}
		}
	}
	return &rec, nil
}

// Host returns the reads of a host on which recorded starts begin at random, every so
// often on average, each of them one of the recorded by Zipf's law with exponent s.
// What is measured is which blocks starts share, and in which order and when they are
// read; when starts begin and how popular each is, is made up.
func (r *Recording) Host(starts int, every time.Duration, s float64, seed uint64) (*Trace, error) {
	popular, err := workload.Zipf(len(r.Starts), s)
	if err != nil {
		return nil, err
	}
	type touch struct {
		at    int64
		block int
	}
	var touches []touch
	rng := workload.Rand(seed, "recorded host")
	rank := rng.Perm(len(r.Starts))
	began := 0.0
	for range starts {
		began += rng.ExpFloat64() * float64(every.Milliseconds())
		start := r.Starts[rank[popular.Next(rng)]]
		for i, b := range start.Blocks {
			touches = append(touches, touch{int64(began) + start.After[i], b})
		}
	}
	slices.SortStableFunc(touches, func(a, b touch) int { return cmp.Compare(a.at, b.at) })
	t := &Trace{Name: "recorded"}
	for _, touch := range touches {
		t.add(uint64(touch.block), r.Blocks[touch.block].Size)
	}
	return t, nil
}
