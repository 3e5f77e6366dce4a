package prefetch_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

func merge(t *testing.T, traces ...*prefetch.Trace) *prefetch.Profile {
	t.Helper()
	p, err := prefetch.Merge(traces)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOneStartIsAProfile(t *testing.T) {
	p := merge(t, traceOf(0, 9, 3, 5))
	if got := p.Essential(1); !slices.Equal(got, []uint32{9, 3, 5}) {
		t.Errorf("%v", got)
	}
	if p.Starts != 1 || p.Blocks != 1000 || p.Workload != "serve" || p.Entries[2].After != 20*time.Millisecond {
		t.Errorf("%+v", p)
	}
}

// What all starts read comes in the order of the median rank; what one of them
// read by chance is not essential.
func TestMergeSeparatesWhatStartsShare(t *testing.T) {
	p := merge(t, traceOf(0, 1, 2, 3, 100), traceOf(time.Minute, 2, 1, 3, 200), traceOf(2*time.Minute, 1, 2, 3, 300))
	if got := p.Essential(prefetch.DefaultShare); !slices.Equal(got, []uint32{1, 2, 3}) {
		t.Errorf("%v", got)
	}
	if got := p.Essential(0); len(got) != 6 {
		t.Errorf("%v", got)
	}
}

func TestMergeForgets(t *testing.T) {
	traces := []*prefetch.Trace{}
	for i := range 4 {
		traces = append(traces, traceOf(time.Duration(i)*time.Minute, 1, 2))
	}
	for i := range 4 {
		traces = append(traces, traceOf(time.Duration(10+i)*time.Minute, 1, 3))
	}
	if got := merge(t, traces...).Essential(prefetch.DefaultShare); !slices.Equal(got, []uint32{1, 3}) {
		t.Errorf("as often in older starts as in later ones: %v", got)
	}
	for i := range prefetch.MaxTraces {
		traces = append(traces, traceOf(time.Duration(100+i)*time.Minute, 4))
	}
	if p := merge(t, traces...); len(p.Entries) != 1 || p.Starts != prefetch.MaxTraces {
		t.Errorf("%+v", p)
	}
}

func TestMergeDoesNotDependOnTheOrder(t *testing.T) {
	traces := []*prefetch.Trace{traceOf(0, 1, 2, 3), traceOf(time.Minute, 3, 2, 7), traceOf(2*time.Minute, 9, 3)}
	want := merge(t, traces...)
	for range 10 {
		rand.Shuffle(len(traces), func(i, k int) { traces[i], traces[k] = traces[k], traces[i] })
		if got := merge(t, traces...); !slices.Equal(got.Entries, want.Entries) || !got.Updated.Equal(want.Updated) {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	other := traceOf(0, 1)
	other.Workload = "another"
	longer := traceOf(0, 1)
	longer.Blocks++
	for name, traces := range map[string][]*prefetch.Trace{
		"nothing": {}, "two workloads": {traceOf(0, 1), other}, "two images": {traceOf(0, 1), longer}, "no trace": {traceOf(0, 1, 1)},
	} {
		if _, err := prefetch.Merge(traces); !errors.Is(err, prefetch.ErrTrace) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCarryOver(t *testing.T) {
	id := func(s string) block.ID { return block.Sum([]byte(s)) }
	of := func(names ...string) (blocks []prefetch.Block) {
		for _, name := range names {
			blocks = append(blocks, prefetch.Block{ID: id(name)})
		}
		return blocks
	}
	old := traceOf(0, 2, 0, 1)
	old.Blocks = 4
	p := merge(t, old)
	was := of("a", "b", "c", "d")
	is := of("new", "c", "b", "c")
	next, err := p.CarryOver(id("v2"), was, is, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Essential(1); !slices.Equal(got, []uint32{1, 2}) || next.From != manifest || next.Blocks != 4 {
		t.Errorf("by blocks: %v, %+v", got, next)
	}
	next, err = p.CarryOver(id("v2"), was, is, func(old uint32) []uint32 {
		if old == 0 {
			return []uint32{0, 77}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := next.Essential(1); !slices.Equal(got, []uint32{1, 0, 2}) {
		t.Errorf("with what moved: %v", got)
	}
	if _, err := p.CarryOver(id("v2"), was[:3], is, nil); !errors.Is(err, prefetch.ErrTrace) {
		t.Error(err)
	}
}
