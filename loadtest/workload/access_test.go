package workload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// accesses reads at most a thousand.
func accesses(p []byte, form string) (all []Access, err error) {
	for a, err := range Accesses(bytes.NewReader(p), form) {
		if err != nil {
			return all, err
		}
		if all = append(all, a); len(all) == 1000 {
			break
		}
	}
	return all, nil
}

func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	p, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestOracleGeneral(t *testing.T) {
	want := []Access{{0, 1, 4096}, {0, 2, 65536}, {time.Second, 1, 4096}, {4 * time.Second, 2, 65536}, {25 * time.Second, 1, 4096}}
	for _, name := range []string{"sample.oracleGeneral", "sample.oracleGeneral.zst"} {
		if got, err := accesses(sample(t, name), FormOracle); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, want)
		}
	}
}

func TestCacheLibBlockTrace(t *testing.T) {
	got, err := accesses(sample(t, "cachelib.csv"), FormCacheLib)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 { // one piece, two pieces twice, another shard's, a part of the first
		t.Fatalf("%d pieces: %v", len(got), got)
	}
	a, b, c := got[0].Object, got[1].Object, got[2].Object
	if got[3].Object != b || got[4].Object != c || got[6].Object != a || got[5].Object == a || a == b || b == c {
		t.Errorf("pieces of the same bytes are not the same objects: %v", got)
	}
	if got[1].Size+got[2].Size != 300000 || got[6] != (Access{4 * time.Second, a, 4096}) {
		t.Errorf("sizes or times: %v", got)
	}
}

func TestAccessesRefuse(t *testing.T) {
	good, packed, table := sample(t, "sample.oracleGeneral"), sample(t, "sample.oracleGeneral.zst"), string(sample(t, "cachelib.csv"))
	edited := func(at int, v uint32) []byte {
		p := bytes.Clone(good)
		binary.LittleEndian.PutUint32(p[at:], v)
		return p
	}
	flipped := bytes.Clone(packed)
	flipped[len(flipped)/2] ^= 0xff
	for name, tt := range map[string]struct {
		bytes []byte
		form  string
		want  string
	}{
		"empty":              {nil, FormOracle, "empty"},
		"cut off":            {good[:len(good)-5], FormOracle, "record 5 has 19 of 24 bytes"},
		"back in time":       {edited(oracleRecord, 4), FormOracle, "record 1 is of second 4"},
		"next before":        {edited(2*oracleRecord+16, 1), FormOracle, "record 2 says"},
		"a text":             {[]byte(strings.Repeat("no trace at all, just words.", 9)), FormOracle, "no oracleGeneral"},
		"compressed, cut":    {packed[:len(packed)-9], FormOracle, "record"},
		"compressed, wrong":  {flipped, FormOracle, "record"},
		"no table":           {good, FormCacheLib, ""},
		"other columns":      {[]byte("a,b\n1,2\n"), FormCacheLib, "block trace of CacheLib"},
		"no reads":           {[]byte(strings.ReplaceAll(table, "getChunkData", "putChunk")), FormCacheLib, "no row that reads"},
		"a row cut off":      {[]byte(table[:len(table)-8]), FormCacheLib, "line 6"},
		"a wrong size":       {[]byte(strings.Replace(table, ",300000,", ",-3,", 1)), FormCacheLib, "line 3: io_size"},
		"an absurd size":     {[]byte(strings.Replace(table, ",300000,", ",99999999999,", 1)), FormCacheLib, "line 3: io_size"},
		"CSV, back in time":  {[]byte(strings.Replace(table, "\n103,", "\n99,", 1)), FormCacheLib, "line 5: op_time"},
		"a form not known":   {good, "blktrace", "blktrace"},
		"CSV, absurd offset": {[]byte(strings.Replace(table, ",262144,u1", ",18446744073709551615,u1", 1)), FormCacheLib, "line 3: io_offset"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := accesses(tt.bytes, tt.form); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error about %q", err, tt.want)
			}
		})
	}
}

func FuzzOracleGeneral(f *testing.F) {
	f.Add(sample(f, "sample.oracleGeneral"))
	f.Add(sample(f, "sample.oracleGeneral.zst"))
	fuzzAccesses(f, FormOracle)
}

func FuzzCacheLib(f *testing.F) {
	f.Add(sample(f, "cachelib.csv"))
	fuzzAccesses(f, FormCacheLib)
}

// fuzzAccesses checks that whatever the bytes are, the accesses up to the first error
// make sense.
func fuzzAccesses(f *testing.F, form string) {
	f.Fuzz(func(t *testing.T, p []byte) {
		all, err := accesses(p, form)
		if len(all) == 0 && err == nil && len(p)%oracleRecord != 0 {
			t.Fatal("neither an access nor an error")
		}
		if form == FormCacheLib && err != nil && !errors.Is(err, ErrTrace) && !strings.Contains(err.Error(), "zstd") && !bytes.HasPrefix(p, zstdMagic) {
			t.Fatalf("%v is no ErrTrace", err)
		}
		last := time.Duration(0)
		for _, a := range all {
			if a.At < last || a.Size == 0 {
				t.Fatalf("%+v after one at %s", a, last)
			}
			last = a.At
		}
	})
}
