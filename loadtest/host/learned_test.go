package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/images"
	"github.com/zonecache/cached/prefetch"
)

// TestProvePrefetchStarts starts images whose daemons learn, behind a link of 200
// Mbit/s to an origin whose first byte takes 30 ms.
func TestProvePrefetchStarts(t *testing.T) {
	full(t)
	names := []string{"flask", "pyml", "chrome"}
	if len(os.Getenv("HOST_IMAGES")) > 0 {
		names = imageNames()
	}
	measureLearned(t, newLab(t, learning, names...))
}

func measureLearned(t *testing.T, l *lab) {
	l.push(t)
	l.front.set(far)
	defer l.front.set(0)
	for _, img := range l.images {
		t.Run(img.Name, func(t *testing.T) { l.learnedStartsOf(t, img) })
	}
}

// linkRate is that of the origin's link, in bytes a second.
const linkRate = 200e6 / 8

// An outcome is what came of reading ahead of one start.
type outcome struct {
	precision, recall float64
	wasted            float64 // of the bytes read ahead
}

func (l *lab) learnedStartsOf(t *testing.T, img images.Built) {
	name := "prefetch.start." + img.Name
	w := ways{}
	s, rootfs := l.pull(t, img)
	w.add(t, "pull", s)
	remove(t, rootfs)
	rounds := pick(3, 1)

	// Each workload that starts for the first time has nothing to go by.
	for i := range rounds {
		l.coldStart(t, w, "first", img, fmt.Sprintf("first-%d", i))
	}
	var outcomes []outcome
	for i := range pick(5, 3) {
		how := "learning" // the first start teaches, the second has one trace to go by
		switch {
		case i == 1: // and no pack
			how = "profile"
			l.zone.Store.DropPacks(t)
		case i > 1:
			how = "pack"
		}
		outcomes = append(outcomes, l.coldStart(t, w, how, img, "serve"))
		l.awaitTraces(t, img.Ref(), "serve", i+1)
		if figure.Full() { // a tiny image has too little for one
			l.awaitPack(t)
		}
	}
	for i, o := range outcomes[1:] {
		figure.Report(t, fmt.Sprintf("%s.recall_%d", name, i+2), o.recall, "share")
		figure.Report(t, fmt.Sprintf("%s.precision_%d", name, i+2), o.precision, "share")
		figure.Report(t, fmt.Sprintf("%s.wasted_%d", name, i+2), o.wasted, "share")
	}
	l.warmLearned(t, w, img)
	for range pick(2, 1) {
		l.join(t)
		s, m := l.lazy(t, l.next, img, "serve")
		w.add(t, "zone", s)
		l.umount(t, m)
		l.alone(t)
	}
	essential := l.essential(t, img, "serve")
	for i := range rounds {
		trace := wrong(l.trace(t, img, "serve"), i)
		if len(trace.Touches) == 0 {
			t.Log("the program reads all of its image: no profile is wrong")
			break
		}
		workload := fmt.Sprintf("wrong-%d", i)
		l.teach(t, img, workload, trace)
		l.coldStart(t, w, "wrong", img, workload)
	}

	o := l.nextVersion(t, w, img)
	figure.Report(t, name+".recall_v2", o.recall, "share")
	figure.Report(t, name+".wasted_v2", o.wasted, "share")

	for how := range w {
		figure.Report(t, name+"."+how+"_s", w.median(how, seconds), "s")
	}
	bound := float64(essential)/linkRate + w.median("same_mount", seconds)
	figure.Report(t, name+".essential_mb", float64(essential)/1e6, "MB")
	figure.Report(t, name+".bound_s", bound, "s")
	for _, how := range []string{"profile", "pack"} {
		figure.Report(t, name+".first_by_"+how, w.median("first", seconds)/w.median(how, seconds), "x")
		figure.Report(t, name+"."+how+"_by_bound", w.median(how, seconds)/bound, "x")
	}
	figure.Report(t, name+".pull_by_zone", w.median("pull", seconds)/w.median("zone", seconds), "x")
	if len(w["wrong"]) > 0 {
		figure.Report(t, name+".wrong_by_first", w.median("wrong", seconds)/w.median("first", seconds), "x")
	}
}

// coldStart starts a workload on a host whose caches are empty, and returns what
// came of reading ahead.
func (l *lab) coldStart(t *testing.T, w ways, how string, img images.Built, workload string) outcome {
	t.Helper()
	l.cold(t)
	s, m := l.lazy(t, l.first, img, workload)
	w.add(t, how, s)
	l.umount(t, m) // ends the session
	var o outcome
	p := l.first.Ledger(t).GetPrefetch()
	for _, row := range p.GetWorkloads() {
		if row.GetWorkload() == workload {
			o.precision, o.recall = row.GetPrecision(), row.GetRecall()
		}
	}
	if all := p.GetUsed().GetBytes() + p.GetLate().GetBytes() + p.GetWasted().GetBytes(); all > 0 {
		o.wasted = float64(p.GetWasted().GetBytes()) / float64(all)
	}
	t.Logf("%s: recall %.3f, precision %.3f, used %.2f MB, late %.2f MB, wasted %.2f MB", how, o.recall, o.precision,
		float64(p.GetUsed().GetBytes())/1e6, float64(p.GetLate().GetBytes())/1e6, float64(p.GetWasted().GetBytes())/1e6)
	return o
}

// nextVersion starts, on a host whose caches are empty, what is the next version of
// an image of which no start was recorded.
func (l *lab) nextVersion(t *testing.T, w ways, img images.Built) outcome {
	t.Helper()
	l.zone.Store.PublishSource(t, l.programs, images.Need(t, img.Name+":v2").Source(), img.Ref())
	return l.coldStart(t, w, "v2", img, "serve")
}

// warmLearned measures starts on a host that has had the image.
func (l *lab) warmLearned(t *testing.T, w ways, img images.Built) {
	t.Helper()
	for range pick(2, 1) {
		l.first.Stop()
		l.first.Start(t)
		l.zone.Await(t, l.zone.Nodes[:1])
		s, m := l.lazy(t, l.first, img, "serve")
		w.add(t, "l2", s)
		l.umount(t, m)
		s, m = l.lazy(t, l.first, img, "serve")
		w.add(t, "l1", s)
		w.add(t, "same_mount", l.again(t, m.bundle, img))
		l.umount(t, m)
	}
}

// traceCommand runs `cached trace` on the first host.
func (l *lab) traceCommand(t *testing.T, args ...string) string {
	t.Helper()
	return on(t, l.first, l.programs.Command(append([]string{"trace"}, append(args, "--origin", l.zone.Origin)...)...))
}

type listedWorkload struct {
	Workload string `json:"workload"`
	Starts   int    `json:"starts"`
	Bytes    int64  `json:"essential_bytes"`
}

func (l *lab) listed(t *testing.T, image, workload string) listedWorkload {
	t.Helper()
	var rows []listedWorkload
	if err := json.Unmarshal([]byte(l.traceCommand(t, "ls", image, "--json")), &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.Workload == workload {
			return row
		}
	}
	return listedWorkload{}
}

// awaitTraces waits until so many starts of a workload are in its profile.
func (l *lab) awaitTraces(t *testing.T, image, workload string, starts int) {
	t.Helper()
	await(t, fmt.Sprintf("%d starts of %s are learned from", starts, image), func() error {
		if n := l.listed(t, image, workload).Starts; n < starts {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
}

// awaitPack waits until what starts need is laid together in the store.
func (l *lab) awaitPack(t *testing.T) {
	t.Helper()
	await(t, "there is a pack", func() error {
		if n := l.zone.Store.Packs(t); n == 0 {
			return errors.New("there is none")
		}
		return nil
	})
}

// essential returns the stored bytes of a workload's essential blocks.
func (l *lab) essential(t *testing.T, img images.Built, workload string) int64 {
	t.Helper()
	return l.listed(t, img.Ref(), workload).Bytes
}

// trace returns the latest trace of a workload.
func (l *lab) trace(t *testing.T, img images.Built, workload string) *prefetch.Trace {
	t.Helper()
	var trace prefetch.Trace
	if err := json.Unmarshal([]byte(l.traceCommand(t, "export", img.Ref(), "--workload", workload)), &trace); err != nil {
		t.Fatal(err)
	}
	return &trace
}

// teach makes a trace the only one of a workload.
func (l *lab) teach(t *testing.T, img images.Built, workload string, trace *prefetch.Trace) {
	t.Helper()
	p, err := json.Marshal(trace)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(l.room(t, "trace"), "trace.json")
	if err := os.WriteFile(file, p, 0o644); err != nil {
		t.Fatal(err)
	}
	l.traceCommand(t, "import", img.Ref(), file, "--workload", workload)
}

// wrong is the trace of a program that reads as much as another one, and nothing of
// what that reads.
func wrong(right *prefetch.Trace, seed int) *prefetch.Trace {
	touched := map[uint32]bool{}
	for _, touch := range right.Touches {
		touched[touch.Block] = true
	}
	w := *right
	w.Began = time.Now().UTC().Truncate(time.Millisecond)
	w.Touches = nil
	for i := range right.Blocks {
		if b := (i*7919 + uint32(seed)) % right.Blocks; !touched[b] && len(w.Touches) < len(right.Touches) {
			touched[b] = true
			w.Touches = append(w.Touches, prefetch.Touch{Block: b})
		}
	}
	slices.SortFunc(w.Touches, func(a, b prefetch.Touch) int { return int(a.Block) - int(b.Block) })
	return &w
}
