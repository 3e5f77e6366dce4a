package prefetch_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

var manifest = block.Sum([]byte("a manifest"))

// traceOf is a trace of a start that touches the blocks in this order, ten ms apart.
func traceOf(began time.Duration, blocks ...uint32) *prefetch.Trace {
	t := &prefetch.Trace{Image: manifest, Workload: "serve", Began: time.Unix(9e8, 0).Add(began).UTC(), Blocks: 1000}
	for i, b := range blocks {
		t.Touches = append(t.Touches, prefetch.Touch{Block: b, After: time.Duration(i) * 10 * time.Millisecond})
	}
	return t
}

func encode(t testing.TB, trace *prefetch.Trace) []byte {
	t.Helper()
	p, err := trace.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTraceCodec(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	large := traceOf(0)
	large.Blocks = 50_000
	for _, i := range rng.Perm(50_000)[:20_000] {
		large.Touches = append(large.Touches, prefetch.Touch{Block: uint32(i), After: time.Duration(len(large.Touches)/7) * time.Millisecond})
	}
	for name, want := range map[string]*prefetch.Trace{
		"empty": traceOf(0), "some": traceOf(time.Hour, 5, 4, 999, 0), "large": large,
		"no workload": {Image: manifest, Began: time.UnixMilli(0).UTC(), Blocks: 1, Touches: []prefetch.Touch{{}}},
	} {
		p := encode(t, want)
		got, err := prefetch.DecodeTrace(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(want.Touches) == 0 {
			got.Touches = want.Touches
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if n := len(encode(t, large)); n > 20_000*5 {
		t.Errorf("%d touches take %d bytes", len(large.Touches), n)
	}
}

// resum gives an edited trace the digest it should have, as a hostile one does.
func resum(p []byte) []byte {
	body := p[:len(p)-len(block.ID{})]
	sum := block.Sum(body)
	return append(bytes.Clone(body), sum[:]...)
}

func TestDecodeRefusesWhatIsNoTrace(t *testing.T) {
	good := encode(t, traceOf(0, 5, 4, 999, 0))
	edit := func(f func(p []byte) []byte) []byte { return f(bytes.Clone(good)) }
	const counts = 8 + 1 + 32 + 1 + len("serve") + 8 // where the number of blocks is
	tests := map[string]struct {
		p    []byte
		says string
	}{
		"nothing":         {nil, "begin"},
		"something else":  {[]byte("PK\x03\x04 something else"), "begin"},
		"truncated":       {good[:len(good)-1], "another digest"},
		"its head":        {good[:20], "truncated"},
		"damaged":         {edit(func(p []byte) []byte { p[40] ^= 1; return p }), "another digest"},
		"a newer version": {edit(func(p []byte) []byte { p[8] = 2; return p }), "version 2"},
		"past the end": {edit(func(p []byte) []byte {
			binary.BigEndian.PutUint32(p[counts:], 999)
			return resum(p)
		}), "block 999"},
		"a million touches in no bytes": {edit(func(p []byte) []byte {
			binary.BigEndian.PutUint32(p[counts+4:], 1_000_000)
			return resum(p)
		}), "1000000 touches"},
		"more touches than blocks": {edit(func(p []byte) []byte {
			binary.BigEndian.PutUint32(p[counts:], 3)
			return resum(p)
		}), "block"},
		"bytes behind": {edit(func(p []byte) []byte {
			binary.BigEndian.PutUint32(p[counts+4:], 3)
			return resum(p)
		}), "behind the last"},
		"in the year 300000": {edit(func(p []byte) []byte {
			binary.BigEndian.PutUint64(p[counts-8:], 1<<53)
			return resum(p)
		}), "ms after 1970"},
		"a long workload": {edit(func(p []byte) []byte { p[41] = 255; return resum(p) }), "workload of 255"},
	}
	for name, tt := range tests {
		got, err := prefetch.DecodeTrace(tt.p)
		if !errors.Is(err, prefetch.ErrTrace) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, %v, want an error that says %q", name, got, err, tt.says)
		}
	}
}

func TestEncodeRefusesWhatIsNoTrace(t *testing.T) {
	for name, edit := range map[string]func(tr *prefetch.Trace){
		"no image":        func(tr *prefetch.Trace) { tr.Image = block.ID{} },
		"twice":           func(tr *prefetch.Trace) { tr.Touches[1].Block = tr.Touches[0].Block },
		"past the end":    func(tr *prefetch.Trace) { tr.Touches[1].Block = tr.Blocks },
		"a vast image":    func(tr *prefetch.Trace) { tr.Blocks = math.MaxUint32 },
		"just too vast":   func(tr *prefetch.Trace) { tr.Blocks = prefetch.MaxTouches + 1 },
		"backwards":       func(tr *prefetch.Trace) { tr.Touches[2].After = 0 },
		"before 1970":     func(tr *prefetch.Trace) { tr.Began = time.Unix(-1, 0) },
		"no UTF-8":        func(tr *prefetch.Trace) { tr.Workload = "\xff" },
		"a long workload": func(tr *prefetch.Trace) { tr.Workload = strings.Repeat("w", prefetch.MaxWorkload+1) },
	} {
		tr := traceOf(0, 3, 2, 1)
		edit(tr)
		if _, err := tr.Encode(); !errors.Is(err, prefetch.ErrTrace) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTraceAsJSON(t *testing.T) {
	want := traceOf(0, 5, 4, 999, 0)
	p, err := json.Marshal(want)
	if err != nil || !strings.Contains(string(p), `"touches":[{"block":5,"ms":0},{"block":4,"ms":10}`) {
		t.Fatalf("%s, %v", p, err)
	}
	var got prefetch.Trace
	if err := json.Unmarshal(p, &got); err != nil || !reflect.DeepEqual(&got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, edit := range map[string][2]string{
		"past the end": {`"block":999`, `"block":1000`}, "twice": {`"block":4,`, `"block":5,`}, "no id": {`"blake3:`, `"sha256:`},
		"an unknown field": {`"workload"`, `"function"`}, "before the start": {`"ms":0`, `"ms":-1`}, "no number": {`"block":5`, `"block":-5`},
		"in a thousand years": {`"ms":30`, `"ms":9223372036854775807`},
	} {
		bad := strings.Replace(string(p), edit[0], edit[1], 1)
		if bad == string(p) {
			t.Fatalf("%s: nothing is edited", name)
		}
		if err := json.Unmarshal([]byte(bad), &got); !errors.Is(err, prefetch.ErrTrace) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeTrace(f *testing.F) {
	f.Add(encode(f, traceOf(0)))
	f.Add(encode(f, traceOf(0, 5, 4, 999, 0)))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 64 { // else the digest stops nearly everything
			p = resum(p)
		}
		tr, err := prefetch.DecodeTrace(p)
		if err != nil {
			if !errors.Is(err, prefetch.ErrTrace) {
				t.Fatal(err)
			}
			return
		}
		if again := encode(t, tr); !bytes.Equal(again, p) {
			t.Fatalf("%x has another encoding: %x", p, again)
		}
	})
}

func TestBundle(t *testing.T) {
	var traces []*prefetch.Trace
	for i := range prefetch.MaxTraces + 3 {
		traces = append(traces, traceOf(time.Duration(i)*time.Minute, uint32(i), 7))
		if i == 7 {
			traces[i].Touches = traces[i].Touches[:1]
		}
	}
	p, err := prefetch.EncodeBundle(traces)
	if err != nil {
		t.Fatal(err)
	}
	got, err := prefetch.DecodeBundle(p)
	if err != nil || len(got) != prefetch.MaxTraces || got[0].Touches[0].Block != prefetch.MaxTraces+2 {
		t.Fatalf("%d traces, %v", len(got), err)
	}
	for _, bad := range [][]byte{nil, p[:len(p)-1], p[:9], p[:11], append(bytes.Clone(p), 1), append(bytes.Clone(p), p[9:]...), []byte("cachedpf\x02")} {
		if got, err := prefetch.DecodeBundle(bad); !errors.Is(err, prefetch.ErrTrace) {
			t.Errorf("%d bytes: %d traces, %v", len(bad), len(got), err)
		}
	}
}

func TestABundleIsABlock(t *testing.T) {
	var traces []*prefetch.Trace
	for i := range prefetch.MaxTraces {
		tr := traceOf(time.Duration(i) * time.Minute)
		tr.Blocks = prefetch.MaxTouches
		for k := range 100_000 {
			tr.Touches = append(tr.Touches, prefetch.Touch{Block: uint32(k * 7 % 700_001)})
		}
		traces = append(traces, tr)
	}
	p, err := prefetch.EncodeBundle(traces)
	if err != nil || len(p) > block.MaxSize {
		t.Fatalf("%d bytes, %v", len(p), err)
	}
	if got, err := prefetch.DecodeBundle(p); err != nil || len(got) == 0 || len(got) == prefetch.MaxTraces || !got[0].Began.Equal(traces[7].Began) {
		t.Fatalf("%d traces, %v", len(got), err)
	}
}
