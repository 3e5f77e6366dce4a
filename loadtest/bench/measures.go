package bench

import (
	"fmt"
	"math"
)

// measures are what is compared.
func measures() []measure {
	known := func(v float64) (float64, bool) { return v, true }
	list := []measure{
		{"reads", "reads/s", higher, func(r *Result) (float64, bool) { return known(r.PerSec) }, slots(func(s Slot) (float64, bool) {
			reads, _ := s.sums()
			return float64(reads) / s.seconds(), true
		})},
		{"bytes", "GB/s", higher, func(r *Result) (float64, bool) { return known(r.GBPerSec) }, slots(func(s Slot) (float64, bool) {
			_, bytes := s.sums()
			return float64(bytes) / s.seconds() / gb, true
		})},
		{"latency p50", "ms", lower, func(r *Result) (float64, bool) { return r.All.P50, r.Reads > 0 }, slots(func(s Slot) (float64, bool) { return s.P50, s.P50 > 0 })},
		{"latency p99", "ms", lower, func(r *Result) (float64, bool) { return r.All.P99, r.Reads > 0 }, slots(func(s Slot) (float64, bool) { return s.P99, s.P50 > 0 })},
		{"latency p99.9", "ms", lower, func(r *Result) (float64, bool) { return r.All.P999, r.Reads > 0 }, nil},
		{"hit rate", "share", higher, func(r *Result) (float64, bool) { return r.HitRate, r.Reads > 0 }, slots(func(s Slot) (float64, bool) { return s.hitRate(), s.P50 > 0 })},
		{"time to ready", "ms", lower, func(r *Result) (float64, bool) {
			if r.Starts == nil {
				return 0, false
			}
			return r.Starts.Ready.P50, r.Starts.Ready.Count > 0
		}, readyTimes},
		{"origin bytes", "per byte", lower, func(r *Result) (float64, bool) {
			if r.Origin == nil {
				return 0, false
			}
			return known(r.Origin.PerByte)
		}, nil},
		{"client CPU", "s/GB", lower, func(r *Result) (float64, bool) { return r.CPU.ClientPerGB, r.Bytes > 0 }, nil},
		{"server CPU", "s/GB", lower, func(r *Result) (float64, bool) {
			if r.CPU.ServerPerGB == nil {
				return 0, false
			}
			return known(*r.CPU.ServerPerGB)
		}, nil},
		{"errors", "share", lower, func(r *Result) (float64, bool) {
			return known(float64(r.Errors) / math.Max(float64(r.Reads+r.Errors-r.Wrong), 1))
		}, nil},
	}
	for _, tier := range []string{"l1", "l2", "l3", "l4"} {
		list = append(list, measure{tier + " p50", "ms", lower, func(r *Result) (float64, bool) {
			l, served := r.Tiers[tier]
			return l.P50, served
		}, nil})
	}
	return list
}

// slots returns a figure of each interval that has its full length.
func slots(of func(Slot) (float64, bool)) func(*Result) []float64 {
	return func(r *Result) []float64 {
		var all []float64
		for _, s := range r.Series {
			if !s.Whole || s.seconds() <= 0 {
				continue
			}
			if v, known := of(s); known {
				all = append(all, v)
			}
		}
		return all
	}
}

func readyTimes(r *Result) []float64 {
	var all []float64
	if r.Starts != nil {
		for _, s := range r.Starts.List {
			if !s.Failed {
				all = append(all, s.Took)
			}
		}
	}
	return all
}

// differences says in which ways other runs were not asked the same as the first.
func differences(first *Result, others []*Result) []string {
	var texts []string
	seen := map[string]bool{}
	say := func(what string, a, b any) {
		if text := fmt.Sprintf("%s %v, and %v", what, a, b); a != b && !seen[what] {
			seen[what] = true
			texts = append(texts, text)
		}
	}
	a := first.Load
	for _, r := range others {
		b := r.Load
		say("unit", a.Unit, b.Unit)
		say("loop", a.Loop, b.Loop)
		say("arrivals", a.Arrivals, b.Arrivals)
		say("clients", a.Clients, b.Clients)
		say("encoding", a.Encoding, b.Encoding)
		say("daemons", a.Daemons, b.Daemons)
		say("order", a.Order, b.Order)
		say("parallel", a.Parallel, b.Parallel)
		say("cold", a.Cold, b.Cold)
		say("session", a.Session, b.Session)
		say("verify", a.Verify, b.Verify)
		say("zipf", a.Zipf, b.Zipf)
		say("interval", a.Interval, b.Interval)
		say("images", imagesText(a), imagesText(b))
		say("CPUs of the client", first.Machine.CPUs, r.Machine.CPUs)
	}
	return texts
}

func imagesText(l Load) string {
	blocks, bytes := 0, int64(0)
	for _, i := range l.Images {
		blocks += i.Blocks
		bytes += i.Bytes
	}
	return fmt.Sprintf("%s of %d blocks, %d bytes", count(len(l.Images), "image"), blocks, bytes)
}
