package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/figure"
)

// teachPack has a daemon of another zone learn what a program reads, and lay it together.
func teachPack(t *testing.T, origin string, program reading, want []byte) {
	t.Helper()
	d := startTestDaemon(t, "--data-dir", t.TempDir(), "--origin", "file://"+origin, "--l1-size", "256MiB", "--l2-size", "0")
	program.start(t, d, "app", want, atOnce)
	eventually(t, "the pack is in the origin", func() bool {
		packs, _ := filepath.Glob(filepath.Join(origin, "packs", "*", "*"))
		return len(packs) == 1
	})
}

// A read is what was read of the origin.
type read struct{ Blocks, Bytes uint64 }

// readTogether is what daemons have read of the origin, each and together.
func readTogether(t *testing.T, daemons []*demoDaemon) (all read) {
	t.Helper()
	for _, d := range daemons {
		var l *cachedv1.Ledger
		eventually(t, "nothing is in flight", func() bool {
			var err error
			l, err = d.client.Ledger(t.Context())
			return err == nil && l.GetInFlight() == 0
		})
		balanced(t, l)
		all.Blocks += l.GetOriginReads().GetBlocks()
		all.Bytes += l.GetOriginReads().GetBytes()
	}
	return all
}

// restTogether is readTogether once nothing more is read.
func restTogether(t *testing.T, daemons []*demoDaemon) (all read) {
	t.Helper()
	eventually(t, "nothing is read of the origin any more", func() bool {
		was := all
		all = readTogether(t, daemons)
		if was == all && all.Blocks > 0 {
			return true
		}
		<-time.After(500 * time.Millisecond)
		return false
	})
	return all
}

// allHere waits until so many blocks have been read ahead of the only start, but for
// those of its own that a host reads when the program comes near.
func allHere(t *testing.T, d *demoDaemon, blocks uint64) {
	t.Helper()
	var p *cachedv1.PrefetchLedger
	defer func() {
		if t.Failed() {
			t.Logf("read ahead: %v", p)
		}
	}()
	eventually(t, "all is here", func() bool {
		p = prefetchLedger(t, d.client)
		return p.GetPending().GetBlocks() >= blocks*4/5
	})
}

// A zone that has nothing of a workload reads its pack from the origin, once for all
// its hosts; who starts it there later has it from them.
func TestAColdZoneReadsAPackOnce(t *testing.T) {
	for _, spread := range []string{"redirect", "tree"} {
		t.Run(spread, func(t *testing.T) {
			origin := filepath.Join(t.TempDir(), "origin")
			const size = 40_000_000
			want := publishFile(t, origin, "app", size)
			program := newReading("serve", 1, size, 40)
			teachPack(t, origin, program, want)

			args, seed := joiner(t, "0", origin, "--distribution", spread)
			zone := []*demoDaemon{startTestDaemon(t, args...)}
			join := func() *demoDaemon {
				args, _ := joiner(t, fmt.Sprint(len(zone)), origin, "--distribution", spread, "--seed", seed)
				zone = append(zone, startTestDaemon(t, args...))
				return zone[len(zone)-1]
			}
			for len(zone) < 4 {
				join()
			}
			for _, d := range zone {
				eventually(t, "it knows the others", func() bool {
					return strings.Contains(adminPage(t, d, "/metrics"), "\ncached_ring_members 4\n")
				})
			}
			needed := uint64(len(distinct(t, zone[0], "app", program.offsets)))
			// Programs bring more with them than a pack has: none reads before all is here.
			var images []*agent.Image
			for _, d := range zone {
				images = append(images, program.open(t, d, "app"))
			}
			for _, d := range zone {
				allHere(t, d, needed)
			}
			first := readTogether(t, zone)
			for _, img := range images {
				program.run(t, img, want)
			}
			figure.Report(t, "serve.packs.zone_origin_reads_per_block", float64(first.Blocks)/float64(needed), "reads")
			if first.Blocks > needed/2 {
				t.Errorf("%d reads of the origin for %d blocks", first.Blocks, needed)
			}

			late := join()
			before := readTogether(t, zone)
			img := program.open(t, late, "app")
			allHere(t, late, needed)
			// What the later one lacks is what belongs to it since it has joined.
			if then := readTogether(t, zone); then.Bytes-before.Bytes > first.Bytes/2 {
				t.Errorf("a later host had the zone read %d bytes of the origin again, of %d", then.Bytes-before.Bytes, first.Bytes)
			}
			program.run(t, img, want)
		})
	}
}

// A zone that has the blocks reads nothing of a pack, however often they were used.
func TestAWarmZoneReadsNoPack(t *testing.T) {
	for _, starts := range []int{1, 2} {
		t.Run(fmt.Sprint(starts), func(t *testing.T) { warmZoneReadsNoPack(t, starts) })
	}
}

func warmZoneReadsNoPack(t *testing.T, starts int) {
	origin := filepath.Join(t.TempDir(), "origin")
	const size = 40_000_000
	want := publishFile(t, origin, "app", size)
	program := newReading("serve", 1, size, 40)
	args, seed := joiner(t, "0", origin)
	zone := []*demoDaemon{startTestDaemon(t, args...)}
	program.start(t, zone[0], "app", want, atOnce) // learns, and makes the pack
	eventually(t, "the pack is in the origin", func() bool {
		packs, _ := filepath.Glob(filepath.Join(origin, "packs", "*", "*"))
		return len(packs) == 1
	})
	for range starts - 1 { // with what was learned
		program.start(t, zone[0], "app", want, atOnce)
	}
	// What was learned is written behind a start, and read for the pack.
	eventually(t, "every start has left its trace", func() bool {
		traces, _ := filepath.Glob(filepath.Join(origin, "traces", "*", "*", "*"))
		return len(traces) == starts
	})
	before := restTogether(t, zone)
	args, _ = joiner(t, "1", origin, "--weight", "0", "--seed", seed)
	zone = append(zone, startTestDaemon(t, args...))
	holdsOf(t, zone[1], "workload", "0 1", "1 0")
	needed := uint64(len(distinct(t, zone[1], "app", program.offsets)))
	img := program.open(t, zone[1], "app")
	allHere(t, zone[1], needed)
	after := readTogether(t, zone)
	program.run(t, img, want)
	figure.Report(t, "serve.packs.warm_zone_origin_reads", float64(after.Blocks-before.Blocks), "reads")
	if after.Blocks-before.Blocks > 2 { // the profile, and what the pack consists of
		t.Errorf("the zone has the blocks and read the origin %d times", after.Blocks-before.Blocks)
	}
}
