package api

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
)

// A side is one way of moving bytes that is measured against others. open
// returns a function that performs one read on a connection of its own; the
// connections are closed when the test ends.
type side struct {
	name string
	size int // bytes a read moves
	open func(tb testing.TB) (read func() error)
}

const rateClients = 8

// compare measures all sides in turn, round after round, so that a noisy
// machine disturbs them alike, and returns bytes per second by round for each.
func compare(tb testing.TB, sides []side) map[string][]float64 {
	tb.Helper()
	if raceDetector {
		tb.Skip("rates mean nothing under the race detector, which makes copying slow")
	}
	rounds, span := 5, 60*time.Millisecond
	if figure.Full() {
		rounds, span = 21, 300*time.Millisecond
	}
	reads := map[string][]func() error{}
	for _, s := range sides {
		for range rateClients {
			reads[s.name] = append(reads[s.name], s.open(tb))
		}
		rate(tb, s, reads[s.name], span/2) // warm up
	}
	rates := map[string][]float64{}
	order := rand.New(rand.NewPCG(1, 2)) // no side always follows the same other
	for range rounds {
		for _, i := range order.Perm(len(sides)) {
			s := sides[i]
			rates[s.name] = append(rates[s.name], rate(tb, s, reads[s.name], span))
		}
	}
	for _, s := range sides {
		tb.Logf("%-12s %6.2f GB/s (median of %d rounds of %s, %d clients, %d KiB)",
			s.name, median(rates[s.name])/1e9, rounds, span, rateClients, s.size>>10)
	}
	return rates
}

// rate runs all clients of a side for about span.
func rate(tb testing.TB, s side, reads []func() error, span time.Duration) float64 {
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
			tb.Fatalf("%s: %v", s.name, err)
		}
		total += counts[i]
	}
	return float64(total) * float64(s.size) / took.Seconds()
}

// ratio returns the median over the rounds of a's rate by b's.
func ratio(rates map[string][]float64, a, b string) float64 {
	var r []float64
	for i := range rates[a] {
		r = append(r, rates[a][i]/rates[b][i])
	}
	return median(r)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		panic("median of nothing")
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
