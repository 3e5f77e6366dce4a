package draw

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// nice returns the values to mark between zero and a little more than top: of four to
// six equal steps, round in the unit. The last is the end of the scale.
func nice(top float64, unit string) []float64 {
	if top <= 0 || math.IsNaN(top) || math.IsInf(top, 0) {
		top = 1
	}
	if unit == "percentunit" && top <= 1 {
		return []float64{0, .25, .5, .75, 1}
	}
	step := roundUp(top/5, base(unit))
	var marks []float64
	for i := 0; ; i++ {
		marks = append(marks, float64(i)*step)
		if float64(i)*step >= top*(1-1e-9) && i > 0 {
			return marks
		}
	}
}

func base(unit string) float64 {
	if unit == "bytes" || unit == "Bps" {
		return 1024
	}
	return 10
}

// roundUp returns the next of 1, 2 and 5, or of the powers of two, at its magnitude.
func roundUp(v, base float64) float64 {
	if base == 1024 && v >= 1 {
		return math.Exp2(math.Ceil(math.Log2(v) - 1e-9))
	}
	magnitude := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5, 10} {
		if n*magnitude >= v*(1-1e-9) {
			return n * magnitude
		}
	}
	return 10 * magnitude
}

// value writes v in the unit, in Grafana's names of units.
func value(v float64, unit string) string {
	switch unit {
	case "percentunit":
		return digits(100*v) + " %"
	case "bytes", "Bps":
		names := []string{"B", "KiB", "MiB", "GiB", "TiB"}
		i := 0
		for math.Abs(v) >= 1024 && i < len(names)-1 {
			v, i = v/1024, i+1
		}
		if unit == "Bps" {
			return digits(v) + " " + names[i] + "/s"
		}
		return digits(v) + " " + names[i]
	case "s":
		switch {
		case v == 0:
			return "0"
		case math.Abs(v) < 1e-3:
			return digits(v*1e6) + " µs"
		case math.Abs(v) < 1:
			return digits(v*1e3) + " ms"
		}
		return digits(v) + " s"
	case "reqps":
		return short(v) + "/s"
	}
	return short(v)
}

func short(v float64) string {
	switch {
	case math.Abs(v) >= 1e6:
		return digits(v/1e6) + " M"
	case math.Abs(v) >= 1e4:
		return digits(v/1e3) + " k"
	}
	return digits(v)
}

// digits has three of them.
func digits(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return fmt.Sprint(v)
	}
	return strconv.FormatFloat(r, 'f', -1, 64)
}

// times returns the moments to mark: whole multiples of a round step, five at most.
func times(from, to time.Time) (marks []time.Time, layout string) {
	layout = "15:04"
	for _, step := range []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if step < time.Minute {
			layout = "15:04:05"
		} else {
			layout = "15:04"
		}
		if to.Sub(from)/step > 6 {
			continue
		}
		for at := from.Truncate(step); !at.After(to); at = at.Add(step) {
			if !at.Before(from) {
				marks = append(marks, at)
			}
		}
		return marks, layout
	}
	return nil, layout
}
