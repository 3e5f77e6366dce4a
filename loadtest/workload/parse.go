package workload

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Processes says what [ParseProcess] understands, one line each.
const Processes = `burst:K                  K at once
bursts:1,4,16[@GAP]      one burst of each size, GAP apart (10s)
uniform:RATE             at equal distances
poisson:RATE             independent of each other
ramp:LOW-HIGH@TIME       Poisson, the rate rising from LOW to HIGH within TIME
diurnal:LOW-HIGH@PERIOD  Poisson, the rate rising from LOW to HIGH and falling again in each PERIOD`

// Limits of what can be asked for.
const (
	maxRate   = 10_000_000 // a second
	maxBurst  = 10_000_000
	maxBursts = 10_000
)

// defaultGap is between bursts.
const defaultGap = 10 * time.Second

// ParseProcess reads the text of a process, as in [Processes]. A rate is a number per
// s, m or h: "100/s".
func ParseProcess(text string) (*Process, error) {
	kind, rest, found := strings.Cut(text, ":")
	fail := func(err error) (*Process, error) { return nil, fmt.Errorf("arrivals %q: %w", text, err) }
	if !found {
		return fail(fmt.Errorf("want KIND:..., as in poisson:100/s"))
	}
	switch kind {
	case "burst", "bursts":
		list, gap, err := cutTime(rest, defaultGap)
		if err != nil {
			return fail(err)
		}
		sizes, err := parseSizes(list)
		if err != nil {
			return fail(err)
		}
		if kind == "burst" && len(sizes) != 1 {
			return fail(fmt.Errorf("a burst has one size; bursts:%s has several", rest))
		}
		return Bursts(sizes, gap), nil
	case "uniform", "poisson":
		rate, err := ParseRate(rest)
		if err != nil {
			return fail(err)
		}
		if kind == "uniform" {
			return uniform(text, rate), nil
		}
		return poisson(text, rate, 0, func(float64) float64 { return rate }), nil
	case "ramp", "diurnal":
		rates, length, err := cutTime(rest, 0)
		if err != nil {
			return fail(err)
		}
		if length == 0 {
			return fail(fmt.Errorf("want LOW-HIGH/s@TIME, as in %s:10-100/s@60s", kind))
		}
		low, high, err := parseRates(rates)
		if err != nil {
			return fail(err)
		}
		if kind == "diurnal" {
			return poisson(text, max(low, high), 0, diurnal(low, high, length)), nil
		}
		return poisson(text, max(low, high), length, func(s float64) float64 { return low + (high-low)*s/length.Seconds() }), nil
	}
	return fail(fmt.Errorf("kind %.20q is not known: want burst, bursts, uniform, poisson, ramp, diurnal or replay", kind))
}

// ParseRate reads "100/s", "5/m" or "2000/h" as a number a second.
func ParseRate(text string) (float64, error) {
	number, unit, found := strings.Cut(text, "/")
	per := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if !found || per == 0 || err != nil {
		return 0, fmt.Errorf("rate %.40q: want a number per s, m or h, as in 100/s", text)
	}
	if rate := n / per; rate > 0 && rate <= maxRate { // not so for a NaN
		return rate, nil
	}
	return 0, fmt.Errorf("rate %.40q: want more than 0 and at most %d/s", text, maxRate)
}

// parseRates reads "10-100/s".
func parseRates(text string) (low, high float64, err error) {
	from, to, found := strings.Cut(text, "-")
	_, unit, _ := strings.Cut(to, "/")
	if !found {
		return 0, 0, fmt.Errorf("rates %.40q: want LOW-HIGH per s, m or h, as in 10-100/s", text)
	}
	if from != "0" {
		if low, err = ParseRate(from + "/" + unit); err != nil {
			return 0, 0, err
		}
	}
	if low > 0 && to == "0/"+unit {
		return low, 0, nil
	}
	high, err = ParseRate(to)
	return low, high, err
}

// cutTime takes "@TIME" off the end.
func cutTime(text string, otherwise time.Duration) (string, time.Duration, error) {
	before, after, found := strings.Cut(text, "@")
	if !found {
		return text, otherwise, nil
	}
	d, err := time.ParseDuration(after)
	if err != nil || d <= 0 || d.Seconds() > maxSeconds/maxBursts {
		return "", 0, fmt.Errorf("time %.40q: want a duration such as 60s or 24h, of at most 80 hours", after)
	}
	return before, d, nil
}

func parseSizes(list string) ([]int, error) {
	words := strings.Split(list, ",")
	if len(words) > maxBursts {
		return nil, fmt.Errorf("%d bursts: at most %d", len(words), maxBursts)
	}
	sizes := make([]int, len(words))
	for i, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > maxBurst {
			return nil, fmt.Errorf("size %.40q: want a whole number from 1 to %d", w, maxBurst)
		}
		sizes[i] = n
	}
	return sizes, nil
}

func burstsText(sizes []int, gap time.Duration) string {
	if len(sizes) == 1 {
		return fmt.Sprintf("burst:%d", sizes[0])
	}
	words := make([]string, len(sizes))
	for i, n := range sizes {
		words[i] = strconv.Itoa(n)
	}
	return fmt.Sprintf("bursts:%s@%s", strings.Join(words, ","), gap)
}

// parseFloat reads a number that is one.
func parseFloat(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}
