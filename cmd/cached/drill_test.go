package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// readAll has readers go through the blocks of an image at the nodes again and again,
// and returns what ends them.
func readAll(t *testing.T, zone map[string]*demoDaemon, blocks []block.ID) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for name, d := range zone {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				b, err := d.client.ReadBlock(ctx, blocks[i%len(blocks)])
				if err == nil {
					b.Release()
				} else if ctx.Err() == nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				select {
				case <-time.After(2 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	return func() { cancel(); work.Wait() }
}

func blocksOf(t *testing.T, d *demoDaemon, image string) []block.ID {
	t.Helper()
	img, err := d.client.GetImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	var ids []block.ID
	for _, b := range img.GetManifest().GetBlocks() {
		ids = append(ids, block.ID(b.GetId()))
	}
	return ids
}

func originReads(t *testing.T, zone map[string]*demoDaemon) (reads uint64) {
	t.Helper()
	for _, d := range zone {
		l, err := d.client.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reads += l.GetOriginReads().GetBlocks()
	}
	return reads
}

// The zone reads each block of the origin once more, and afterwards none.
func TestADrillHidesTheCachesOfAZoneAndLosesNothing(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	publishFile(t, origin, "app", 6_000_000)
	zone := threeNodes(t, origin)
	blocks := blocksOf(t, zone["a"], "app")
	end := readAll(t, zone, blocks)
	defer end()
	eventually(t, "the zone has all blocks", func() bool { return originReads(t, zone) >= uint64(len(blocks)) })
	before := originReads(t, zone)

	out, complaint, ok := cachedAt(t, zone["a"], "drill", "--empty", "--before", "3s", "--for", "1m", "--json")
	if !ok {
		t.Fatalf("%s\n%s", complaint, out)
	}
	var r drillReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Recovered || strings.Join(r.Nodes, " ") != "a b c" || r.HitRateBefore < 0.99 || r.HitRateLowest >= r.HitRateBefore || r.Failed != 0 {
		t.Errorf("%+v", r)
	}
	// The nodes do not fall in the same instant: a few blocks come from one that has not.
	if again := originReads(t, zone) - before; again > uint64(len(blocks)) || again < uint64(len(blocks))/2 {
		t.Errorf("%d reads of the origin, want one for each of most of %d blocks", again, len(blocks))
	}
	for name, d := range zone {
		eventually(t, name+" shows its caches again", func() bool {
			s, err := d.client.Status(t.Context())
			return err == nil && !strings.Contains(strings.Join(s.GetWarnings(), " "), "drill")
		})
	}
	after := originReads(t, zone)
	for range 3 {
		for _, id := range blocks {
			b, err := zone["b"].client.ReadBlock(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
	}
	if n := originReads(t, zone) - after; n != 0 {
		t.Errorf("%d reads of the origin after the drill", n)
	}
}

// A drill ends with the call that began it, and a node is in one at a time.
func TestADrillEndsWithItsCaller(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	publishFile(t, origin, "app", 500_000)
	zone := threeNodes(t, origin)
	drilled := func(d *demoDaemon) bool {
		s, err := d.client.Status(t.Context())
		return err == nil && strings.Contains(strings.Join(s.GetWarnings(), " "), "a drill is on")
	}
	req := func() *cachedv1.DrillZoneRequest {
		return &cachedv1.DrillZoneRequest{Nodes: []string{api.AllNodes}, Empty: durationpb.New(time.Minute)}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- zone["a"].client.DrillZone(ctx, req(), func(*cachedv1.NodeDrill) {}) }()
	for name, d := range zone {
		eventually(t, name+" seems empty", func() bool { return drilled(d) })
	}

	var problems []string
	err := zone["b"].client.DrillZone(t.Context(), req(), func(n *cachedv1.NodeDrill) {
		if n.GetState() == cachedv1.DrillState_DRILL_STATE_FAILED {
			problems = append(problems, n.GetProblem())
		}
	})
	if err != nil || len(problems) != 3 || !strings.Contains(problems[0], "in a drill already") {
		t.Errorf("a second drill: %v, %q", err, problems)
	}

	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for name, d := range zone {
		eventually(t, name+" shows its caches again", func() bool { return !drilled(d) })
	}

	for _, bad := range []*cachedv1.DrillZoneRequest{
		{Empty: durationpb.New(0)},
		{Empty: durationpb.New(2 * time.Hour)},
		{Empty: durationpb.New(time.Second), Before: durationpb.New(-1)},
		{Empty: durationpb.New(time.Second), Nodes: []string{"nobody"}},
	} {
		if err := zone["a"].client.DrillZone(t.Context(), bad, func(*cachedv1.NodeDrill) {}); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("%v: %v, want invalid", bad, err)
		}
	}
}
