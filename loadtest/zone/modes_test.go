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
	carried      float64 // bytes that the store's link has carried, manifests and headers too, over the same
	mostReads    int     // of one block
	cpuShare     float64 // of the machine's processors' time until then: daemons, store and programs
}

// A scene is one burst.
type scene struct {
	mode
	load
	ahead    bool // daemons read ahead of the programs
	hosts    int
	programs int   // on each host
	before   *load // what all hosts have read just before; nil: nothing
}

// burst has hosts with empty caches start a load at the same moment.
func (s *stage) burst(t *testing.T, c scene) outcome {
	t.Helper()
	s.reset(t, c)
	if c.before != nil {
		agents := s.starts(t, scene{mode: c.mode, load: *c.before, hosts: c.hosts, programs: 1})
		zone.Go(t, agents)
		zone.Reports(t, agents)
	}
	mark := s.Store.Mark(t)
	agents := s.starts(t, c)
	before := s.Store.Host.Traffic(t)
	daemonsBefore, storeBefore := s.CPU(t)
	zone.Go(t, agents)
	reports := zone.Reports(t, agents)
	daemons, store := s.CPU(t)
	sent := s.Store.Host.Traffic(t).Since(before).Sent
	for i, r := range reports {
		if r.Failed > 0 || r.Blocks != int64(len(c.ids)) || r.Bytes != c.bytes {
			t.Errorf("program %d read %d of %d blocks, %d failed, %d wrong: %v", i, r.Blocks, len(c.ids), r.Failed, r.Wrong, r.Errors)
		}
	}
	o := outcome{seconds: last(reports)}
	reads := s.Store.Reads(t, mark)
	o.vsBound = o.seconds / bound(c.hosts, c.img(), modest.Rate).Seconds()
	o.bytesPerByte, o.mostReads = float64(reads.Bytes)/float64(reads.Distinct), reads.Most()
	o.carried = float64(sent) / float64(reads.Distinct)
	sum := tally(reports)
	cpu := (daemons + store - daemonsBefore - storeBefore).Seconds() + sum.CPU
	o.cpuShare = cpu / (float64(runtime.NumCPU()) * o.seconds)
	t.Logf("%s, %d hosts: %.2f s, %.3f of the bound, %.4f of %d distinct bytes from the origin, a block at most %d times; %d bytes in %d blocks were wanted; %d other reads, the link carried %.3f; CPU %.2f, served %v",
		c, c.hosts, o.seconds, o.vsBound, o.bytesPerByte, reads.Distinct, o.mostReads, c.bytes, len(c.ids), reads.Others, o.carried, o.cpuShare, sum.From)
	if text := zone.Complaints(s.Nodes[:c.daemonsOn()]); text != "" {
		t.Logf("complaints: %s", text)
	}
	return o
}

func (c scene) String() string {
	if c.ahead {
		return c.name + "_prefetch"
	}
	return c.name
}

// daemonsOn is on how many hosts there is one.
func (c scene) daemonsOn() int {
	if c.daemons {
		return c.hosts
	}
	return 0
}

// reset starts the scene's daemons, whose caches are empty.
func (s *stage) reset(t *testing.T, c scene) {
	t.Helper()
	s.Reset(t, c.daemonsOn(), c.spread, append([]string{fmt.Sprintf("--prefetch=%v", c.ahead)}, c.flags...)...)
}

// starts are programs that wait for their start.
func (s *stage) starts(t *testing.T, c scene) (agents []*zone.Agent) {
	t.Helper()
	flags := []string{"-image", c.image, "-ids", c.file, "-parallel", readsAtOnce, "-timeout", "3m"}
	if c.ahead {
		flags = append(flags, "-workload", c.workload)
	}
	if !c.daemons {
		flags = append(flags, "-origin", s.Origin)
	}
	for range c.programs {
		agents = append(agents, zone.Agents(t, s.Nodes[:c.hosts], flags...)...)
	}
	return agents
}

// say states what a burst came to.
func (o outcome) say(t *testing.T, name string) {
	t.Helper()
	figure.Report(t, name+".s", o.seconds, "s")
	figure.Report(t, name+".vs_bound", o.vsBound, "x")
	figure.Report(t, name+".origin_bytes_per_distinct", o.bytesPerByte, "x")
	figure.Report(t, name+".link_bytes_per_distinct", o.carried, "x")
	figure.Report(t, name+".cpu_share", o.cpuShare, "x")
}

// TestProveZoneModes starts a real image on 1, 4, 8 and 16 hosts at once, as a program
// of it has read it, in each mode.
func TestProveZoneModes(t *testing.T) {
	alone(t)
	measureModes(t)
}

// The sizes of bursts, and fewer for modes in which hosts share nothing but the store's
// link, and take as long as they are many.
var (
	concurrency = []int{1, 4, 8, 16}
	unshared    = []int{1, 4, 16}
)

func measureModes(t *testing.T) {
	s := newStage(t, concurrency[len(concurrency)-1])
	some := modes
	if !figure.Full() {
		some = []mode{modeOf("direct"), modeOf("redirect")}
	}
	if names := strings.Fields(os.Getenv("ZONE_MODES")); len(names) > 0 { // to look into something
		some = nil
		for _, name := range names {
			some = append(some, modeOf(name))
		}
	}
	for _, m := range some {
		sizes := concurrency
		switch {
		case !figure.Full():
			sizes = []int{2}
		case m.spread == zone.Alone:
			sizes = unshared
		}
		for _, ahead := range []bool{false, true} {
			if ahead && !m.daemons {
				continue // nobody is there who could read ahead, and the programs fill the link
			}
			c := scene{mode: m, load: s.start, ahead: ahead, programs: programsPerHost}
			name := fmt.Sprintf("zone.modes.%s", c)
			var all []outcome
			for _, n := range sizes {
				c.hosts = n
				o := s.burst(t, c)
				o.say(t, fmt.Sprintf("%s.hosts%d", name, n))
				if !figure.Full() && m.daemons && o.mostReads != 1 {
					t.Errorf("a block was read %d times from the origin", o.mostReads)
				}
				all = append(all, o)
			}
			most := slices.MaxFunc(all, func(a, b outcome) int { return cmp.Compare(a.bytesPerByte, b.bytesPerByte) })
			figure.Report(t, name+".flat_x", all[len(all)-1].seconds/all[0].seconds, "x")
			figure.Report(t, name+".most_origin_bytes_per_distinct", most.bytesPerByte, "x")
		}
	}
}

// TestProveZoneModesWhole starts all of the image, on one host and on 16.
func TestProveZoneModesWhole(t *testing.T) {
	alone(t)
	s := newStage(t, concurrency[len(concurrency)-1])
	s.fromOneTo(t, scene{mode: modeOf("redirect"), load: s.whole, programs: 1}, len(s.Nodes), "zone.modes.whole")
}

// TestProveZoneModesBusy has the start come in a zone whose hosts have just had another
// one: they know each other, and how fast their links are.
func TestProveZoneModesBusy(t *testing.T) {
	alone(t)
	s := newStage(t, concurrency[len(concurrency)-1])
	other := s.other(t)
	s.fromOneTo(t, scene{mode: modeOf("redirect"), load: s.start, ahead: true, programs: programsPerHost, before: &other}, len(s.Nodes), "zone.modes.busy")
}

// TestProveZoneModesMost has twice as many hosts start as the other bursts have.
func TestProveZoneModesMost(t *testing.T) {
	alone(t)
	n := 2 * concurrency[len(concurrency)-1]
	s := newStage(t, n)
	s.fromOneTo(t, scene{mode: modeOf("redirect"), load: s.start, ahead: true, programs: programsPerHost}, n, "zone.modes.most")
}

// fromOneTo compares a burst on many hosts with one on a single host.
func (s *stage) fromOneTo(t *testing.T, c scene, many int, name string) {
	t.Helper()
	c.hosts = 1
	one := s.burst(t, c)
	one.say(t, name+".one")
	c.hosts = many
	o := s.burst(t, c)
	o.say(t, name+".many")
	figure.Report(t, name+".flat_x", o.seconds/one.seconds, "x")
}
