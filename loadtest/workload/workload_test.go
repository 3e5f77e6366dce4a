package workload

import (
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func take(seq iter.Seq[Arrival], n int) []Arrival {
	var all []Arrival
	for a := range seq {
		if all = append(all, a); len(all) == n {
			break
		}
	}
	return all
}

func process(tb testing.TB, text string) *Process {
	tb.Helper()
	p, err := ParseProcess(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestTheSameSeedGivesTheSameLoad(t *testing.T) {
	for _, text := range []string{"burst:50", "bursts:1,4,16@2s", "uniform:100/s", "poisson:100/s", "ramp:10-100/s@60s", "diurnal:1-50/s@1h"} {
		p := process(t, text)
		a, b := take(p.Arrivals(1), 1000), take(p.Arrivals(1), 1000)
		if !slices.Equal(a, b) {
			t.Errorf("%s: two runs of one seed differ", text)
		}
		if !slices.IsSortedFunc(a, func(x, y Arrival) int { return int(x.At - y.At) }) {
			t.Errorf("%s: the arrivals are out of order", text)
		}
		if random := !strings.HasPrefix(text, "burst") && !strings.HasPrefix(text, "uniform"); random == slices.Equal(a, take(p.Arrivals(2), 1000)) {
			t.Errorf("%s: another seed changes nothing, or what is not random", text)
		}
	}
}

func TestBursts(t *testing.T) {
	got := take(process(t, "bursts:1,3@2s").Arrivals(1), 10)
	want := []Arrival{{}, {At: 2 * time.Second}, {At: 2 * time.Second}, {At: 2 * time.Second}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if p := process(t, "burst:7"); p.Count() != 7 || p.Length() != 0 || p.String() != "burst:7" {
		t.Errorf("%s: %d arrivals in %s", p, p.Count(), p.Length())
	}
}

// The gaps of a Poisson process have its rate's mean, and as much deviation.
func TestPoissonGaps(t *testing.T) {
	const rate, n = 200.0, 40_000
	all := take(process(t, "poisson:200/s").Arrivals(3), n)
	var sum, squares float64
	for i := 1; i < n; i++ {
		gap := (all[i].At - all[i-1].At).Seconds()
		sum += gap
		squares += gap * gap
	}
	mean := sum / (n - 1)
	deviation := math.Sqrt(squares/(n-1) - mean*mean)
	if math.Abs(mean*rate-1) > 0.02 || math.Abs(deviation*rate-1) > 0.03 {
		t.Errorf("gaps of %.6f s +- %.6f, want %.6f of both", mean, deviation, 1/rate)
	}
}

func TestRatesThatChange(t *testing.T) {
	count := func(text string, from, to time.Duration) (n int) {
		for a := range process(t, text).Arrivals(5) {
			if a.At >= to {
				break
			}
			if a.At >= from {
				n++
			}
		}
		return n
	}
	near := func(what string, got int, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > 5*math.Sqrt(want)+1 {
			t.Errorf("%s: %d arrivals, want about %.0f", what, got, want)
		}
	}
	near("the first half of a ramp", count("ramp:0-100/s@100s", 0, 50*time.Second), 1250)
	near("the second half", count("ramp:0-100/s@100s", 50*time.Second, 100*time.Second), 3750)
	near("a ramp that has ended", count("ramp:0-100/s@100s", 100*time.Second, time.Hour), 0)
	near("a falling ramp", count("ramp:100-0/s@100s", 0, 50*time.Second), 3750)
	near("the night", count("diurnal:0-60/s@100s", 0, 25*time.Second), 25*30*(1-2/math.Pi))
	near("a whole day", count("diurnal:0-60/s@100s", 0, 100*time.Second), 3000)
	near("the day after", count("diurnal:0-60/s@100s", 100*time.Second, 200*time.Second), 3000)
	near("as fast again", len(take(process(t, "ramp:0-100/s@100s").Faster(10).Arrivals(5), 1e6)), 5000)
	if got := process(t, "ramp:0-100/s@100s").Faster(10).Length(); got != 10*time.Second {
		t.Errorf("ten times as fast it takes %s", got)
	}
}

func TestParseProcessRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "KIND",
		"poisson":             "KIND",
		"weibull:3/s":         "weibull",
		"poisson:100":         "rate",
		"poisson:-1/s":        "more than 0",
		"poisson:NaN/s":       "more than 0",
		"poisson:1e300/s":     "at most",
		"poisson:5/d":         "per s, m or h",
		"burst:0":             "size",
		"burst:99999999999":   "size",
		"burst:1,2":           "one size",
		"bursts:1,,2":         "size",
		"bursts:1,2@0s":       "time",
		"bursts:1,2@999999h":  "time",
		"ramp:10-100/s":       "@TIME",
		"ramp:10/s@60s":       "LOW-HIGH",
		"diurnal:5-1x/s@24h":  "rate",
		"diurnal:-5-10/s@24h": "rate",
	} {
		if _, err := ParseProcess(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error about %q", text, err, want)
		}
	}
}

func TestZipf(t *testing.T) {
	for _, s := range []float64{0, 0.7, 1, 2} {
		p, err := Zipf(10, s)
		if err != nil {
			t.Fatal(err)
		}
		rng := Rand(1, "test")
		const n = 100_000
		var counts [10]float64
		for range n {
			counts[p.Next(rng)]++
		}
		total := 0.0
		for i := range counts {
			total += math.Pow(float64(i+1), -s)
		}
		for i, c := range counts {
			want := n * math.Pow(float64(i+1), -s) / total
			if math.Abs(c-want) > 5*math.Sqrt(want) {
				t.Errorf("s=%g: the %d. was drawn %.0f times, want about %.0f", s, i+1, c, want)
			}
		}
	}
	for _, bad := range []struct {
		n int
		s float64
	}{{0, 1}, {1, -1}, {1, math.NaN()}, {1, 50}} {
		if _, err := Zipf(bad.n, bad.s); err == nil {
			t.Errorf("%+v is a popularity", bad)
		}
	}
}
