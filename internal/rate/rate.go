// Package rate compares ways of moving the same bytes: each is a [Side], and
// [Compare] lets all take turns, so that a noisy machine disturbs them alike.
//
// [HTTP] reads any server by one lean client, and [NetHTTP] and [Nginx] are the
// servers that ours is measured against.
package rate

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
)

// A Side is one way of moving bytes that is measured against others. Open
// returns a function that performs one read on a connection of its own; the
// connections are closed when the test ends.
type Side struct {
	Name string
	Size int // bytes a read moves
	Open func(tb testing.TB) (read func() error)
}

// Clients read at once on each side.
const Clients = 8

// Compare measures all sides in turn, round after round, and returns bytes per
// second by round for each. It skips the test under instrumentation.
func Compare(tb testing.TB, sides []Side) map[string][]float64 {
	tb.Helper()
	if figure.Instrumented {
		tb.Skip("rates mean nothing under the race detector, which makes copying slow")
	}
	rounds, span := 5, 60*time.Millisecond
	if figure.Full() {
		rounds, span = 21, 300*time.Millisecond
	}
	reads := map[string][]func() error{}
	for _, s := range sides {
		for range Clients {
			reads[s.Name] = append(reads[s.Name], s.Open(tb))
		}
		Measure(tb, s, reads[s.Name], span/2) // warm up
	}
	rates := map[string][]float64{}
	order := rand.New(rand.NewPCG(1, 2)) // no side always follows the same other
	for range rounds {
		for _, i := range order.Perm(len(sides)) {
			s := sides[i]
			rates[s.Name] = append(rates[s.Name], Measure(tb, s, reads[s.Name], span))
		}
	}
	for _, s := range sides {
		tb.Logf("%-12s %6.2f GB/s (median of %d rounds of %s, %d clients, %d KiB)",
			s.Name, Median(rates[s.Name])/1e9, rounds, span, Clients, s.Size>>10)
	}
	return rates
}

// Measure runs all clients of a side for about span.
func Measure(tb testing.TB, s Side, reads []func() error, span time.Duration) float64 {
	tb.Helper()
	counts := make([]int, len(reads))
	errs := make([]error, len(reads))
	start := time.Now()
	var wg sync.WaitGroup
	for i, read := range reads {
		wg.Go(func() {
			for time.Since(start) < span {
				if errs[i] = read(); errs[i] != nil {
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	total := 0
	for i, err := range errs {
		if err != nil {
			tb.Fatalf("%s: %v", s.Name, err)
		}
		total += counts[i]
	}
	return float64(total) * float64(s.Size) / took.Seconds()
}

// Ratio returns the median over the rounds of a's rate by b's.
func Ratio(rates map[string][]float64, a, b string) float64 {
	var r []float64
	for i := range rates[a] {
		r = append(r, rates[a][i]/rates[b][i])
	}
	return Median(r)
}

// Median returns the median of v, which must not be empty.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		panic("median of nothing")
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
