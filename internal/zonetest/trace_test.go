package zonetest_test

import (
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/zonetest"
)

// traceEnv set to anything makes a test that finds too many origin reads print
// every ask for the block that was read most.
const traceEnv = "ZONETEST_TRACE"

// trace prints the asks for the block that was read most from the origin, when
// the test has failed.
func trace(t *testing.T, z *zonetest.Zone) {
	if os.Getenv(traceEnv) == "" {
		return
	}
	var mu sync.Mutex
	events := map[block.ID][]zonetest.Event{}
	z.Net().Trace(func(e zonetest.Event) {
		mu.Lock()
		defer mu.Unlock()
		events[e.ID] = append(events[e.ID], e)
	})
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		_, id, _ := z.OriginMost()
		mu.Lock()
		defer mu.Unlock()
		slices.SortFunc(events[id], func(a, b zonetest.Event) int { return a.Began.Compare(b.Began) })
		for _, e := range events[id] {
			t.Log(e)
		}
	})
}
