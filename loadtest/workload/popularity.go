package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// A Popularity chooses among a number of things, by Zipf's law: the i-th in
// proportion to 1/i^s. With s = 0 all are alike. Unlike [rand.Zipf] it takes any s.
type Popularity struct{ upTo []float64 }

// Zipf returns the popularity of n things.
func Zipf(n int, s float64) (Popularity, error) {
	if n < 1 || math.IsNaN(s) || s < 0 || s > 20 {
		return Popularity{}, fmt.Errorf("popularity of %d things with exponent %g: want at least one, and an exponent from 0 to 20", n, s)
	}
	p := Popularity{upTo: make([]float64, n)}
	total := 0.0
	for i := range p.upTo {
		total += math.Pow(float64(i+1), -s)
		p.upTo[i] = total
	}
	for i := range p.upTo {
		p.upTo[i] /= total
	}
	p.upTo[n-1] = 1
	return p, nil
}

// Next draws one: 0 is the most popular.
func (p Popularity) Next(rng *rand.Rand) int {
	u := rng.Float64()
	return sort.Search(len(p.upTo)-1, func(i int) bool { return p.upTo[i] > u })
}
