package workload

import (
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

var azure2019Columns = []string{"HashOwner", "HashApp", "HashFunction", "Trigger", "1", "1440"}

const (
	minutesOfDay = 1440
	// maxPerMinute bounds the starts of all functions in one minute, which are held in
	// memory together; the busiest of the public trace has about a million.
	maxPerMinute = 10_000_000
)

// A minuteCount is how often a function began in a minute.
type minuteCount struct{ function, count uint32 }

// readAzure2019 reads how often each function began in each minute of a day.
func readAzure2019(name string, t *table) (*Process, error) {
	var columns [minutesOfDay]string
	for m := range columns {
		columns[m] = strconv.Itoa(m + 1)
		if !t.has(columns[m]) {
			return nil, malformed("line 1: the minute %s has no column", columns[m])
		}
	}
	var functions []string
	var minutes [minutesOfDay][]minuteCount
	var totals [minutesOfDay]uint64
	total := uint64(0)
	for {
		err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for m, column := range columns {
			n, err := t.whole(column, maxPerMinute)
			if err != nil {
				return nil, err
			}
			if n == 0 {
				continue
			}
			minutes[m] = append(minutes[m], minuteCount{uint32(len(functions)), uint32(n)})
			if totals[m] += n; totals[m] > maxPerMinute {
				return nil, malformed("minute %s has more than %d starts", column, maxPerMinute)
			}
			total += n
		}
		functions = append(functions, t.text("HashApp")+"/"+t.text("HashFunction"))
	}
	if total == 0 {
		return nil, malformed("nothing starts in it")
	}
	return &Process{text: "replay:" + name, length: minutesOfDay * time.Minute, count: int(total), seq: func(rng *rand.Rand) iter.Seq[Arrival] {
		return func(yield func(Arrival) bool) {
			for m, counts := range minutes {
				for a := range minute(functions, counts, totals[m], rng) {
					a.At += time.Duration(m) * time.Minute
					if !yield(a) {
						return
					}
				}
			}
		}
	}}, nil
}

// minute yields the starts of one minute, at times and in an order drawn from rng.
func minute(functions []string, counts []minuteCount, total uint64, rng *rand.Rand) iter.Seq[Arrival] {
	return func(yield func(Arrival) bool) {
		who := make([]uint32, 0, total)
		for _, c := range counts {
			for range c.count {
				who = append(who, c.function)
			}
		}
		rng.Shuffle(len(who), func(i, j int) { who[i], who[j] = who[j], who[i] })
		at := make([]time.Duration, len(who))
		for i := range at {
			at[i] = time.Duration(rng.Int64N(int64(time.Minute)))
		}
		slices.Sort(at)
		for i, f := range who {
			if !yield(Arrival{At: at[i], Name: functions[f]}) {
				return
			}
		}
	}
}
