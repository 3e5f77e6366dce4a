package workload

import (
	"iter"
	"math"
	"math/rand/v2"
	"time"
)

// An Arrival is one thing that begins at a time of its own.
type Arrival struct {
	At   time.Duration // since the beginning; never less than that of the one before
	Name string        // what begins, where a trace says so: a function
}

// A Process is when things begin.
type Process struct {
	text   string
	length time.Duration
	count  int
	bursts []int
	seq    func(*rand.Rand) iter.Seq[Arrival]
}

// String returns the text [ParseProcess] makes the process of.
func (p *Process) String() string { return p.text }

// Length returns when the process ends by itself; 0: never.
func (p *Process) Length() time.Duration { return p.length }

// Count returns how many arrivals there are; 0: as many as are wanted, or not known.
func (p *Process) Count() int { return p.count }

// Bursts returns the sizes of the bursts it consists of; none where it is something else.
func (p *Process) Bursts() []int { return p.bursts }

// Arrivals returns the arrivals of a seed, in order.
func (p *Process) Arrivals(seed uint64) iter.Seq[Arrival] {
	return p.seq(Rand(seed, "arrivals"))
}

// Faster returns the process in a time that passes x times as fast.
func (p *Process) Faster(x float64) *Process {
	if x == 1 {
		return p
	}
	faster := *p
	faster.length = time.Duration(float64(p.length) / x)
	faster.seq = func(rng *rand.Rand) iter.Seq[Arrival] {
		return func(yield func(Arrival) bool) {
			for a := range p.seq(rng) {
				a.At = time.Duration(float64(a.At) / x)
				if !yield(a) {
					return
				}
			}
		}
	}
	return &faster
}

// Rand returns the random numbers of a seed for one purpose, so that a change in how
// many one purpose takes leaves the others' alone.
func Rand(seed uint64, purpose string) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}

// Bursts is one burst of each size, gap apart.
func Bursts(sizes []int, gap time.Duration) *Process {
	n := 0
	for _, size := range sizes {
		n += size
	}
	last := time.Duration(max(len(sizes)-1, 0)) * gap
	return &Process{text: burstsText(sizes, gap), length: last, count: n, bursts: sizes, seq: func(*rand.Rand) iter.Seq[Arrival] {
		return func(yield func(Arrival) bool) {
			for i, size := range sizes {
				for range size {
					if !yield(Arrival{At: time.Duration(i) * gap}) {
						return
					}
				}
			}
		}
	}}
}

// uniform is one arrival after the other at the same distance.
func uniform(text string, perSecond float64) *Process {
	return &Process{text: text, seq: func(*rand.Rand) iter.Seq[Arrival] {
		return func(yield func(Arrival) bool) {
			for i := 0.0; i/perSecond < maxSeconds; i++ {
				if !yield(Arrival{At: seconds(i / perSecond)}) {
					return
				}
			}
		}
	}}
}

// poisson is arrivals that know nothing of each other, at a rate that may change
// with time: those of the highest rate are thinned out. length 0: for ever.
func poisson(text string, highest float64, length time.Duration, rate func(seconds float64) float64) *Process {
	return &Process{text: text, length: length, seq: func(rng *rand.Rand) iter.Seq[Arrival] {
		return func(yield func(Arrival) bool) {
			at := 0.0
			for {
				at += rng.ExpFloat64() / highest
				if length > 0 && at >= length.Seconds() || at > maxSeconds {
					return
				}
				if rng.Float64()*highest >= rate(at) {
					continue
				}
				if !yield(Arrival{At: seconds(at)}) {
					return
				}
			}
		}
	}}
}

// maxSeconds is how long any process goes on: a hundred years.
const maxSeconds = 100 * 365 * 86400

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// diurnal rises from low to high and falls again once in a period, as a sine.
func diurnal(low, high float64, period time.Duration) func(float64) float64 {
	return func(s float64) float64 {
		return low + (high-low)*(1-math.Cos(2*math.Pi*s/period.Seconds()))/2
	}
}
