package prefetch_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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
	// A letter is a block; the length of one whose name has digits is that number.
	of := func(names string) (blocks []prefetch.Block) {
		for name := range strings.FieldsSeq(names) {
			length, err := strconv.Atoi(strings.Trim(name, "abcdefghijklmnopqrstuvwxyzXYZ"))
			if err != nil {
				length = 100
			}
			blocks = append(blocks, prefetch.Block{ID: id(name), Length: length})
		}
		return blocks
	}
	for name, tt := range map[string]struct {
		was, is string
		read    []uint32
		want    []uint32
	}{
		"blocks of both":                     {"a b c d", "new c b c", []uint32{2, 1}, []uint32{1, 2}},
		"one was replaced":                   {"a b c d", "a X c d", []uint32{0, 1, 2}, []uint32{0, 1, 2}},
		"one was replaced by more":           {"a b c d", "a X50 Y50 Z50 c d", []uint32{1}, []uint32{1, 2, 3}},
		"a part of what was replaced":        {"a b c d e f", "a Xb Xc Xd Xe f", []uint32{2, 3}, []uint32{2, 3}},
		"the first and the last":             {"a b c", "X b Y", []uint32{2, 0}, []uint32{2, 0}},
		"everything":                         {"a b c", "X Y Z", []uint32{1}, []uint32{1}},
		"one is gone":                        {"a b c", "a c", []uint32{0, 1, 2}, []uint32{0, 1}},
		"one became much larger":             {"a b c", "a X500 c", []uint32{1}, nil},
		"much came in between":               {"a b c", "a X90 Y90 Z90 W90 V90 c", []uint32{1}, nil},
		"neighbours were moved apart":        {"a b c d", "c d X a", []uint32{1}, nil},
		"neighbours were moved together":     {"a b c d e f", "d X f a b c", []uint32{4}, []uint32{1}},
		"a block that repeats marks nothing": {"z a z b z", "z a z X z", []uint32{3}, []uint32{3}},
		"all of nothing":                     {"a b", "", []uint32{0, 1}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			was, is := of(tt.was), of(tt.is)
			old := traceOf(0, tt.read...)
			old.Blocks = uint32(len(was))
			p := merge(t, old)
			next, err := p.CarryOver(id("v2"), was, is)
			if err != nil {
				t.Fatal(err)
			}
			if got := next.Essential(1); !slices.Equal(got, tt.want) || next.From != manifest || next.Blocks != uint32(len(is)) {
				t.Errorf("%v, want %v; %+v", got, tt.want, next)
			}
			if _, err := p.CarryOver(id("v2"), was[1:], is); !errors.Is(err, prefetch.ErrTrace) {
				t.Error(err)
			}
		})
	}
}
