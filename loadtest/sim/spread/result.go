package spread

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A Result is what a run came to.
type Result struct {
	Protocol Protocol `json:"protocol"`
	Hosts    int      `json:"hosts"`
	Readers  int      `json:"readers"`
	Image    int64    `json:"image_bytes"`

	Time      Quantiles `json:"seconds"`             // from a host's start until it has the image, of those that survive
	First     Quantiles `json:"first_block_seconds"` // until it has its first block or piece
	Bound     float64   `json:"bound_seconds"`
	Reachable float64   `json:"reachable_seconds"` // with the origin's delay
	Lacking   int       `json:"lacking,omitempty"` // survivors that never had the image

	OriginReads      int     `json:"origin_reads"`
	ReadsPerBlock    float64 `json:"origin_reads_per_block"` // of what the protocol moves
	OriginBytes      int64   `json:"origin_bytes"`
	BytesPerByte     float64 `json:"origin_bytes_per_byte"`
	MessagesPerBlock float64 `json:"messages_per_block"` // and reader
	MostHops         int     `json:"most_hops,omitempty"`
	Gone             int     `json:"gone,omitempty"` // answers by nodes that have lost the block

	Events int     `json:"events"`
	Took   float64 `json:"took_seconds"` // of the machine's time

	Stuck string    `json:"stuck,omitempty"` // what they lack
	Times []float64 `json:"-"`               // in seconds, ascending, of the hosts that count
}

// Quantiles are of the hosts that survive and whose links are as fast as most.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

func quantiles(sorted []float64) Quantiles {
	if len(sorted) == 0 {
		return Quantiles{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	at := func(q float64) float64 { return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))] }
	return Quantiles{P50: at(.5), P99: at(.99), P999: at(.999), Max: sorted[len(sorted)-1]}
}

// Over returns the quantiles over a time in seconds.
func (q Quantiles) Over(seconds float64) Quantiles {
	return Quantiles{q.P50 / seconds, q.P99 / seconds, q.P999 / seconds, q.Max / seconds}
}

func (s *sim) result(p Protocol, events int, took time.Duration) *Result {
	r := &Result{
		Protocol: p, Hosts: s.Hosts, Readers: s.Readers, Image: s.Total(),
		Bound: s.bound.Seconds(), Reachable: s.reachable.Seconds(),
		OriginReads: s.originReads, ReadsPerBlock: float64(s.originReads) / float64(len(s.Sizes)),
		OriginBytes: s.originBytes, BytesPerByte: float64(s.originBytes) / float64(s.Total()),
		MessagesPerBlock: float64(s.messages) / float64(len(s.Sizes)*s.Readers),
		MostHops:         s.mostHops, Gone: s.gone, Events: events, Took: took.Seconds(),
	}
	var first []float64
	for _, h := range s.hosts {
		switch {
		case h.dead || !h.reader:
			continue
		case h.left > 0:
			r.Lacking++
		}
		if h.slower > 1 || h.left > 0 {
			continue
		}
		r.Times = append(r.Times, (h.finish - h.began).Seconds())
		first = append(first, (h.first - h.began).Seconds())
	}
	if r.Lacking > 0 {
		r.Stuck = s.stuck()
	}
	slices.Sort(r.Times)
	slices.Sort(first)
	r.Time, r.First = quantiles(r.Times), quantiles(first)
	return r
}

// String says the most in a line.
func (r *Result) String() string {
	t, f := r.Time.Over(r.Bound), r.First
	return fmt.Sprintf("%s: %.3f %.3f %.3f of %.3f s; first block %.1f %.1f ms; %.1f messages a block, %d hops, %d gone; %.4f reads a block; %d events, %.1f s",
		r.Protocol, t.P50, t.P99, t.Max, r.Bound, f.P50*1e3, f.Max*1e3, r.MessagesPerBlock, r.MostHops, r.Gone, r.ReadsPerBlock, r.Events, r.Took)
}
