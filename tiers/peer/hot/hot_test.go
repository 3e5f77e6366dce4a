package hot

import (
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

func TestHeatDecays(t *testing.T) {
	counts := map[string]func(h *Heat, id block.ID, node string, now time.Time) bool{
		"asks":  func(h *Heat, id block.ID, node string, now time.Time) bool { return h.Asked(id, node, 2, now) },
		"reads": func(h *Heat, id block.ID, node string, now time.Time) bool { return h.Served(id, node, 2, now) },
	}
	for name, count := range counts {
		t.Run(name, func(t *testing.T) {
			h := Heat{}
			id, now := block.Sum(nil), time.Now()
			for range 100 {
				if count(&h, id, "a", now) {
					t.Fatal("one node makes it hot")
				}
			}
			if !count(&h, id, "b", now) {
				t.Error("not hot after two")
			}
			if newly := count(&h, id, "c", now); newly == (name == "asks") { // a replica is offered once
				t.Errorf("%v after the third", newly)
			}
			if count(&h, id, "a", now.Add(Window+time.Second)) {
				t.Error("still hot after the window")
			}
			for i := range 2 * heatBlocks {
				count(&h, block.Sum([]byte{byte(i), byte(i >> 8)}), "a", now)
			}
			if len(h.warm) > heatBlocks || len(h.order) > heatBlocks {
				t.Errorf("%d blocks are counted", len(h.warm))
			}
		})
	}
}

func BenchmarkHeat(b *testing.B) {
	h, now := Heat{}, time.Now()
	ids := make([]block.ID, 1024)
	for i := range ids {
		ids[i] = block.Sum([]byte{byte(i), byte(i >> 8)})
	}
	for i := 0; b.Loop(); i++ {
		h.Asked(ids[i%len(ids)], "node07", 8, now)
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := Recent{Keep: time.Minute}
	now := time.Now()
	id := func(i int) block.ID { return block.Sum([]byte{byte(i), byte(i >> 8)}) }
	for i := range recentBlocks + 1 {
		r.Add(id(i), now)
	}
	if r.Has(id(0), now) || !r.Has(id(1), now) || r.Has(id(1), now.Add(time.Minute)) {
		t.Error("it must remember the last ones, for a minute")
	}
}

func TestSmallZonesNeedFewerReaders(t *testing.T) {
	for nodes, want := range map[int]int{1: 2, 3: 2, 9: 4, 17: 8, 1000: 8} {
		if got := After(DefaultAfter, nodes); got != want {
			t.Errorf("%d nodes: %d, want %d", nodes, got, want)
		}
	}
}
