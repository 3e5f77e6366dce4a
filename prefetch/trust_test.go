package prefetch_test

import (
	"testing"

	"github.com/zonecache/cached/prefetch"
)

func TestTrust(t *testing.T) {
	good := prefetch.Outcome{Used: prefetch.Count{Blocks: 90}, Wasted: prefetch.Count{Blocks: 10}}
	bad := prefetch.Outcome{Late: prefetch.Count{Blocks: 10}, Wasted: prefetch.Count{Blocks: 90}}
	few := prefetch.Outcome{Wasted: prefetch.Count{Blocks: 3}}
	var trust prefetch.Trust
	next := func(want float64, on bool) {
		t.Helper()
		if share, ok := trust.Next(); share != want || ok != on {
			t.Fatalf("%v, %v, want %v, %v", share, ok, want, on)
		}
	}
	next(prefetch.DefaultShare, true)
	trust.Ended(good)
	trust.Ended(few)
	next(prefetch.DefaultShare, true)
	trust.Ended(bad)
	next(0.9, true)
	trust.Ended(good)
	next(prefetch.DefaultShare, true)
	for range 2 {
		trust.Ended(bad)
	}
	if !trust.Off() {
		t.Error("on after two bad starts")
	}
	for range 8 {
		next(0, false)
	}
	next(0.9, true) // tried again
	trust.Ended(bad)
	next(0, false)
}
