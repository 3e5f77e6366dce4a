package zone_test

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
)

// modest links let 16 hosts pass on an image while two processors are half idle.
var modest = netlab.Link{Rate: 25 * netlab.Mbit, Queue: 1 << 20}

// A mode is a way by which hosts get what they start.
type mode struct {
	name    string
	daemons bool // or each program reads the origin for itself
	spread  zone.Spread
	flags   []string
}

// The modes, from none of this to all of it. A node that may send without limit sends
// nobody on: what is left of the protocol is that the owner of a block serves it.
var modes = []mode{
	{name: "direct"},
	{name: "node_cache", daemons: true, spread: zone.Alone},
	{name: "ring", daemons: true, spread: zone.Redirect, flags: []string{"--sends", "1000000", "--sends-per-block", "1000000"}},
	{name: "redirect", daemons: true, spread: zone.Redirect},
	{name: "tree", daemons: true, spread: zone.Tree},
}

func modeOf(name string) mode {
	return modes[slices.IndexFunc(modes, func(m mode) bool { return m.name == name })]
}

// programsPerHost start at once on each host, and share its daemon where there is one.
const programsPerHost = 2

// A program of a start reads so many blocks at once.
const readsAtOnce = "4"

// A stage is where bursts take place, each with empty caches.
type stage struct {
	*zone.Zone
	options zone.Options
	start   load // what a recorded start has read
	whole   load
}

// An outcome is what one burst came to.
type outcome struct {
	seconds      float64 // until the last program had all
	vsBound      float64
	bytesPerByte float64 // read of the origin, whatever for, over the distinct bytes
	mostReads    int     // of one block
	cpuShare     float64 // of the machine's processors' time until then: daemons, store and programs
	reads        zone.OriginReads
}

// burst has n hosts with empty caches start a load at the same moment.
func (s *stage) burst(t *testing.T, m mode, l load, prefetched bool, n, perHost int) outcome {
	t.Helper()
	running := 0
	if m.daemons {
		running = n
	}
	s.Reset(t, running, m.spread, append([]string{fmt.Sprintf("--prefetch=%v", prefetched)}, m.flags...)...)
	mark := s.Store.Mark(t)
	agents := s.starts(t, m, l, prefetched, n, perHost)
	daemonsBefore, storeBefore := s.CPU(t)
	zone.Go(t, agents)
	reports := zone.Reports(t, agents)
	daemons, store := s.CPU(t)
	for i, r := range reports {
		if r.Failed > 0 || r.Blocks != int64(len(l.ids)) || r.Bytes != l.bytes {
			t.Errorf("program %d read %d of %d blocks, %d failed, %d wrong: %v", i, r.Blocks, len(l.ids), r.Failed, r.Wrong, r.Errors)
		}
	}
	o := outcome{seconds: last(reports), reads: s.Store.Reads(t, mark)}
	o.vsBound = o.seconds / bound(n, l.img(), modest.Rate).Seconds()
	o.bytesPerByte, o.mostReads = float64(o.reads.Bytes)/float64(o.reads.Distinct), o.reads.Most()
	sum := tally(reports)
	cpu := (daemons + store - daemonsBefore - storeBefore).Seconds() + sum.CPU
	o.cpuShare = cpu / (float64(runtime.NumCPU()) * o.seconds)
	t.Logf("%s, read ahead %v, %d hosts: %.2f s, %.3f of the bound, %.4f of %d distinct bytes from the origin, a block at most %d times; %d bytes in %d blocks were wanted; %d other reads, CPU %.2f, served %v",
		m.name, prefetched, n, o.seconds, o.vsBound, o.bytesPerByte, o.reads.Distinct, o.mostReads, l.bytes, len(l.ids), o.reads.Others, o.cpuShare, sum.From)
	if text := zone.Complaints(s.Nodes[:running]); text != "" {
		t.Logf("complaints: %s", text)
	}
	return o
}

// starts are programs on n hosts that wait for their start.
func (s *stage) starts(t *testing.T, m mode, l load, prefetched bool, n, perHost int) (agents []*zone.Agent) {
	t.Helper()
	flags := []string{"-image", l.image, "-ids", l.file, "-parallel", readsAtOnce, "-timeout", "3m"}
	if prefetched {
		flags = append(flags, "-workload", l.workload)
	}
	if !m.daemons {
		flags = append(flags, "-origin", s.Origin)
	}
	for range perHost {
		agents = append(agents, zone.Agents(t, s.Nodes[:n], flags...)...)
	}
	return agents
}

// TestProveZoneModes starts a real image on 1, 4, 8 and 16 hosts at once, as a program
// of it has read it, in each mode.
func TestProveZoneModes(t *testing.T) {
	alone(t)
	measureModes(t)
}

// The sizes of bursts.
var concurrency = []int{1, 4, 8, 16}

func measureModes(t *testing.T) {
	s := newStage(t, concurrency[len(concurrency)-1])
	sizes, some := concurrency, modes
	if !figure.Full() {
		sizes, some = []int{2}, []mode{modeOf("direct"), modeOf("redirect")}
	}
	if names := strings.Fields(os.Getenv("ZONE_MODES")); len(names) > 0 { // to look into something
		some = nil
		for _, name := range names {
			some = append(some, modeOf(name))
		}
	}
	for _, m := range some {
		for _, ahead := range []bool{false, true} {
			if ahead && !m.daemons {
				continue // nobody is there who could read ahead, and the programs fill the link
			}
			var all []outcome
			for _, n := range sizes {
				o := s.burst(t, m, s.start, ahead, n, programsPerHost)
				name := fmt.Sprintf("zone.modes.%s.hosts%d", modeName(m, ahead), n)
				figure.Report(t, name+".s", o.seconds, "s")
				figure.Report(t, name+".vs_bound", o.vsBound, "x")
				figure.Report(t, name+".origin_bytes_per_distinct", o.bytesPerByte, "x")
				figure.Report(t, name+".cpu_share", o.cpuShare, "x")
				if !figure.Full() && m.daemons && o.mostReads != 1 {
					t.Errorf("a block was read %d times from the origin", o.mostReads)
				}
				all = append(all, o)
			}
			most := slices.MaxFunc(all, func(a, b outcome) int { return cmp.Compare(a.bytesPerByte, b.bytesPerByte) })
			figure.Report(t, "zone.modes."+modeName(m, ahead)+".flat_x", all[len(all)-1].seconds/all[0].seconds, "x")
			figure.Report(t, "zone.modes."+modeName(m, ahead)+".most_origin_bytes_per_distinct", most.bytesPerByte, "x")
		}
	}
}

func modeName(m mode, ahead bool) string {
	if ahead {
		return m.name + "_prefetch"
	}
	return m.name
}

// TestProveZoneModesWhole starts all of the image, on one host and on 16.
func TestProveZoneModesWhole(t *testing.T) {
	alone(t)
	s := newStage(t, concurrency[len(concurrency)-1])
	var seconds []float64
	for _, n := range []int{1, len(s.Nodes)} {
		o := s.burst(t, modeOf("redirect"), s.whole, false, n, 1)
		name := fmt.Sprintf("zone.modes.whole.hosts%d", n)
		figure.Report(t, name+".s", o.seconds, "s")
		figure.Report(t, name+".vs_bound", o.vsBound, "x")
		figure.Report(t, name+".origin_bytes_per_distinct", o.bytesPerByte, "x")
		figure.Report(t, name+".cpu_share", o.cpuShare, "x")
		seconds = append(seconds, o.seconds)
	}
	figure.Report(t, "zone.modes.whole.flat_x", seconds[1]/seconds[0], "x")
}

// TestProveZoneModesMost has twice as many hosts start as the other bursts have.
func TestProveZoneModesMost(t *testing.T) {
	alone(t)
	n := 2 * concurrency[len(concurrency)-1]
	s := newStage(t, n)
	first := s.burst(t, modeOf("redirect"), s.start, true, 1, programsPerHost)
	o := s.burst(t, modeOf("redirect"), s.start, true, n, programsPerHost)
	figure.Report(t, "zone.modes.most.hosts", float64(n), "hosts")
	figure.Report(t, "zone.modes.most.flat_x", o.seconds/first.seconds, "x")
	figure.Report(t, "zone.modes.most.vs_bound", o.vsBound, "x")
	figure.Report(t, "zone.modes.most.origin_bytes_per_distinct", o.bytesPerByte, "x")
	figure.Report(t, "zone.modes.most.cpu_share", o.cpuShare, "x")
}
