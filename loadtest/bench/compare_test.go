package bench

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// made returns a result whose intervals have latencies around p50.
func made(seed uint64, p50 float64) *Result {
	rng := rand.New(rand.NewPCG(seed, 1))
	r := &Result{Format: Format, Reads: 1000, Bytes: 1e9, PerSec: 100 / p50, All: Latency{Count: 1000, P50: p50 * (1 + 0.02*rng.Float64()), P99: 3 * p50, P999: 9}, Tiers: map[string]Latency{}}
	for i := range 20 {
		at := float64(i)
		r.Series = append(r.Series, Slot{From: at, To: at + 1, Whole: true, Reads: map[string]int64{"l1": 100}, Bytes: map[string]int64{"l1": 1e8}, P50: p50 * (1 + 0.1*rng.Float64()), P99: 3})
	}
	r.Series = append(r.Series, Slot{From: 20, To: 20.1, Reads: map[string]int64{"l1": 1}, P50: 1e6})
	return r
}

func row(t *testing.T, c Comparison, name string) Compared {
	t.Helper()
	i := slices.IndexFunc(c.Rows, func(r Compared) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no row %q in %+v", name, c.Rows)
	}
	return c.Rows[i]
}

func TestCompareFindsWhatIsSlower(t *testing.T) {
	a, b := []*Result{made(1, 1)}, []*Result{made(2, 1.3)}
	c, err := Compare(a, b, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p50 := row(t, c, "latency p50")
	if p50.Verdict != Worse || p50.OldN != 20 || p50.Change < 0.2 || p50.Change > 0.4 || p50.Low > p50.Change || p50.High < p50.Change || p50.P > 0.001 {
		t.Errorf("%+v", p50)
	}
	if rows := c.Worsened(0.1); len(rows) != 1 || rows[0].Name != "latency p50" {
		t.Errorf("worse by 10 %%: %+v", rows)
	}
	if rows := c.Worsened(0.5); len(rows) != 0 {
		t.Errorf("worse by 50 %%: %+v", rows)
	}
	if v := row(t, c, "latency p99.9"); v.Verdict != Unknown || v.OldN != 1 {
		t.Errorf("of one figure each: %+v", v)
	}
	back, err := Compare(b, a, CompareOptions{})
	if err != nil || row(t, back, "latency p50").Verdict != Better {
		t.Errorf("the other way round: %+v (%v)", back, err)
	}
	again, err := Compare(a, b, CompareOptions{})
	if err != nil || !slices.Equal(c.Rows, again.Rows) {
		t.Error("the same comparison gives something else the second time")
	}
}

func TestCompareOfTheSame(t *testing.T) {
	wrong := 0
	for seed := range uint64(100) {
		c, err := Compare([]*Result{made(2*seed, 1)}, []*Result{made(2*seed+1, 1)}, CompareOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if row(t, c, "latency p50").Verdict != Same {
			wrong++
		}
	}
	if wrong > 12 { // at 0.05, five of a hundred are expected
		t.Errorf("%d of 100 comparisons of the same find a difference", wrong)
	}
}

func TestCompareByRuns(t *testing.T) {
	side := func(p50 float64) (runs []*Result) {
		for i := range 5 {
			runs = append(runs, made(uint64(i)+uint64(100*p50), p50))
		}
		return runs
	}
	c, err := Compare(side(1), side(1.1), CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p50 := row(t, c, "latency p50"); c.Samples != "runs" || p50.OldN != 5 || p50.Verdict != Worse {
		t.Errorf("%s: %+v", c.Samples, p50)
	}
	var text bytes.Buffer
	if err := c.WriteText(&text); err != nil || strings.Contains(text.String(), "Give four runs") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestCompareSaysWhatIsNotAlike(t *testing.T) {
	a, b := made(1, 1), made(2, 1)
	b.Load.Encoding, b.Load.Daemons = "grpc", 3
	c, err := Compare([]*Result{a}, []*Result{b}, CompareOptions{})
	if err != nil || len(c.Warnings) != 2 {
		t.Errorf("%v (%v)", c.Warnings, err)
	}
	for _, bad := range []float64{-1, 1, 2} {
		if _, err := Compare([]*Result{a}, []*Result{b}, CompareOptions{Alpha: bad}); err == nil {
			t.Errorf("alpha %g is one", bad)
		}
	}
	if _, err := Compare(nil, []*Result{b}, CompareOptions{}); err == nil {
		t.Error("nothing is compared with something")
	}
}
