package block

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
)

func TestIDTextForm(t *testing.T) {
	id := Sum([]byte("hello"))
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Fatalf("ParseID(%s) = %v, %v", id, got, err)
	}
	hex := id.Hex()
	for _, bad := range []string{
		"", "blake3:", hex, "sha256:" + hex, "blake3:" + hex[:63], "blake3:" + hex + "0",
		"blake3:" + strings.ToUpper(hex), "blake3:" + strings.Repeat("g", 64), "../../etc/passwd",
	} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) succeeded", bad)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(Sum(nil).String())
	f.Add("blake3:zz")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Fatalf("ParseID(%q) prints as %q", s, id)
		}
	})
}

func TestBlockLifetime(t *testing.T) {
	want := []byte("some bytes")
	b := New(want, Origin)
	second := b.Retain()
	b.Release()
	if !bytes.Equal(second.Bytes(), want) || second.ID() != Sum(want) || second.From != Origin {
		t.Fatalf("second reference reads %q", second.Bytes())
	}
	second.Release()
	if _, ok := second.TryRetain(); ok {
		t.Fatal("TryRetain revived a released block")
	}
	if _, ok := (Block{}).TryRetain(); ok {
		t.Fatal("TryRetain retained the zero block")
	}
	Block{}.Release()
}

func TestReleaseTooOftenPanics(t *testing.T) {
	b := New([]byte("x"), Memory)
	b.Release()
	defer func() {
		if recover() == nil {
			t.Fatal("second Release did not panic")
		}
	}()
	b.Release()
}

// A reader that races the last release must get either nothing or the bytes it
// asked for, never the next tenant of the memory.
func TestTryRetainNeverSeesTheNextTenant(t *testing.T) {
	p := NewPool(1 << 20)
	fill := func(c byte) Block {
		buf := p.Get(8192)
		for i := range buf.Bytes() {
			buf.Bytes()[i] = c
		}
		return buf.Seal(ID{c}, Memory)
	}
	for round := range 500 {
		b := fill(byte(round))
		var wg sync.WaitGroup
		wg.Go(func() {
			if r, ok := b.TryRetain(); ok {
				if got := r.Bytes()[0]; got != byte(round) {
					t.Errorf("round %d: read byte %d", round, got)
				}
				r.Release()
			}
		})
		wg.Go(func() {
			b.Release()
			fill(byte(round + 1)).Release()
		})
		wg.Wait()
	}
}

func TestCallTravelsInContext(t *testing.T) {
	if got := CallFrom(context.Background()); got != (Call{}) {
		t.Fatalf("empty context carries %+v", got)
	}
	want := Call{Image: "flask:v1", Workload: "app", Tenant: "t", Cause: Prefetch, Hops: 1}
	if got := CallFrom(WithCall(context.Background(), want)); got != want {
		t.Fatalf("got %+v", got)
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for _, tier := range Tiers {
		if got, err := ParseTier(tier.String()); err != nil || got != tier {
			t.Errorf("tier %v: %v, %v", tier, got, err)
		}
	}
	for _, c := range Causes {
		if got, err := ParseCause(c.String()); err != nil || got != c {
			t.Errorf("cause %v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseTier("l5"); err == nil {
		t.Error("tier l5 parsed")
	}
	if _, err := ParseCause("boredom"); err == nil {
		t.Error("cause boredom parsed")
	}
}
