package day

import (
	"cmp"
	"slices"
	"time"

	"github.com/zonecache/cached/loadtest/workload"
)

// A kind is what happens beside the starts that come by themselves.
type kind uint8

const (
	burst   kind = iota // a start of one, at its host
	publish             // the next version of an image
	patch               // of a base
	death               // of a host
	join                // of the one in its place
)

type event struct {
	at   time.Duration
	kind kind
	what int
}

// events draws all of a run, in order.
func (o Options) events(bases int, popular workload.Popularity) []event {
	var list []event
	total := o.Warm + o.Length
	days := total.Hours() / 24
	rng := workload.Rand(o.Seed, "events")
	at := func() time.Duration { return time.Duration(rng.Int64N(int64(total))) }
	for range int(float64(o.Bursts) * days) {
		begin, image := at(), popular.Next(rng)
		for range o.BurstSize {
			list = append(list, event{begin + time.Duration(rng.Int64N(int64(burstWithin))), burst, image})
		}
	}
	for image := range o.Images {
		for t := time.Duration(rng.ExpFloat64() * float64(o.PublishEvery)); t < total; t += time.Duration(rng.ExpFloat64() * float64(o.PublishEvery)) {
			list = append(list, event{t, publish, image})
		}
	}
	for base := range bases {
		for t := time.Duration(rng.ExpFloat64() * float64(o.PatchEvery)); t < total; t += time.Duration(rng.ExpFloat64() * float64(o.PatchEvery)) {
			list = append(list, event{t, patch, base})
		}
	}
	for _, host := range rng.Perm(o.Hosts)[:min(o.Hosts-1, int(float64(o.Replaced)*days))] {
		t := at()
		list = append(list, event{t, death, host}, event{t + joinAfter, join, host})
	}
	slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return list
}
