package zone_test

import (
	"runtime"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/loadtest/zone"
)

// A burst is what one burst came to.
type burst struct {
	vsBound      float64 // time until the last host held everything, over the bound
	bytesPerByte float64 // read from the origin, over the distinct bytes
	mostReads    int     // of one block from the origin
	blocks       int64
	cpuShare     float64 // of the machine's processors' time until then: daemons, store and agents
}

// runBurst starts a zone, lets all hosts read the whole image at once, and
// compares the books of the daemons with those of the store.
func runBurst(t *testing.T, f *fields, o zone.Options) burst {
	t.Helper()
	z := f.start(t, o)
	before := z.Store.Host.Traffic(t)
	daemonsBefore, storeBefore := z.CPU(t)
	reports := z.burst(t)
	daemons, store := z.CPU(t)
	daemons, store = daemons-daemonsBefore, store-storeBefore
	sent := z.Store.Host.Traffic(t).Since(before).Sent
	whole(t, z.Image, reports)
	books, reads := z.sums(t), z.reads(t)
	checkLedgers(t, books, reads, 0)
	b := burst{
		vsBound:      last(reports) / bound(len(z.Nodes), z.Image, o.Link.Rate).Seconds(),
		bytesPerByte: float64(reads.Bytes) / float64(z.Image.Bytes),
		mostReads:    reads.Most(),
		blocks:       z.Image.Blocks,
	}
	agents := tally(reports).CPU
	b.cpuShare = (daemons.Seconds() + store.Seconds() + agents) / (float64(runtime.NumCPU()) * last(reports))
	t.Logf("%d hosts, %d blocks, %d bytes, spread %q: %.2f s, %.3f of the bound; origin: %.4f of the bytes, a block at most %d times, %d other reads, its link carried %.3f; served %v",
		len(z.Nodes), z.Image.Blocks, z.Image.Bytes, o.Spread, last(reports), b.vsBound, b.bytesPerByte, b.mostReads, reads.Others, float64(sent)/float64(z.Image.Bytes), books.Served)
	for i, r := range reports {
		t.Logf("%s: opened %.3f s, first %.3f, last %.3f, single reads p50 %.3f p99 %.3f slowest %.3f, from %v",
			z.Nodes[i].Name, r.Opened, r.First, r.Last, r.P50, r.P99, r.Slowest, r.From)
	}
	var carried netlab.Traffic
	for _, h := range z.Lab.Hosts() {
		c := h.Traffic(t)
		carried.Received += c.Received
		carried.Packets += c.Packets
	}
	t.Logf("CPU: daemons %.1f s, store %.1f s, agents %.1f s: %.2f of %d processors; TCP: %+v, %d bytes a packet",
		daemons.Seconds(), store.Seconds(), agents, b.cpuShare, runtime.NumCPU(), z.Lab.TCP(t), carried.Received/carried.Packets)
	t.Logf("complaints: %s", zone.Complaints(z.Nodes))
	return b
}

// checkOnce fails a small burst in which anything was read twice; in a full one
// that is for the goals to say.
func checkOnce(t *testing.T, b burst) {
	t.Helper()
	if !figure.Full() && (b.bytesPerByte != 1 || b.mostReads != 1) {
		t.Errorf("%.3f of the bytes were read from the origin, a block up to %d times", b.bytesPerByte, b.mostReads)
	}
}

// TestProveZoneBurst lets all hosts start one image at the same moment, with an
// origin whose link is no faster than theirs.
func TestProveZoneBurst(t *testing.T) {
	alone(t)
	measureBurst(t, own())
}

func measureBurst(t *testing.T, f *fields) {
	rounds := 1
	if figure.Full() {
		rounds = 3
	}
	var ratios []float64
	var worst burst
	for range rounds {
		t.Run("redirect", func(t *testing.T) {
			b := runBurst(t, f, options(t, zone.Redirect))
			ratios = append(ratios, b.vsBound)
			worst.bytesPerByte = max(worst.bytesPerByte, b.bytesPerByte)
			worst.vsBound = max(worst.vsBound, b.vsBound)
			worst.mostReads = max(worst.mostReads, b.mostReads)
			worst.cpuShare = max(worst.cpuShare, b.cpuShare)
		})
	}
	if len(ratios) == 0 {
		return // the log says why
	}
	figure.Report(t, "zone.burst16.vs_bound", rate.Median(ratios), "x")
	figure.Report(t, "zone.burst16.worst_vs_bound", worst.vsBound, "x")
	figure.Report(t, "zone.burst16.origin_bytes_per_distinct", worst.bytesPerByte, "x")
	figure.Report(t, "zone.burst16.cpu_share", worst.cpuShare, "x")
	checkOnce(t, worst)
}

// TestProveZoneBurstSlowLinks is the same burst over links that the processors of
// a small machine can fill: what it takes beyond the bound is the protocol's.
func TestProveZoneBurstSlowLinks(t *testing.T) {
	alone(t)
	measureBurstSlowLinks(t, own())
}

func measureBurstSlowLinks(t *testing.T, f *fields) {
	o := options(t, zone.Redirect)
	o.Link, o.OriginLink = calm, calm
	if figure.Full() {
		o.Image /= 2
	}
	b := runBurst(t, f, o)
	figure.Report(t, "zone.burst16_slow.vs_bound", b.vsBound, "x")
	figure.Report(t, "zone.burst16_slow.origin_bytes_per_distinct", b.bytesPerByte, "x")
	figure.Report(t, "zone.burst16_slow.cpu_share", b.cpuShare, "x")
	checkOnce(t, b)
}

// TestProveZoneBurstTree is the same over the Function Tree.
func TestProveZoneBurstTree(t *testing.T) {
	alone(t)
	measureBurstTree(t, own())
}

func measureBurstTree(t *testing.T, f *fields) {
	b := runBurst(t, f, options(t, zone.Tree))
	figure.Report(t, "zone.burst16_tree.vs_bound", b.vsBound, "x")
	figure.Report(t, "zone.burst16_tree.origin_bytes_per_distinct", b.bytesPerByte, "x")
	checkOnce(t, b)
}

// TestProveZoneBurstAlone is the same without peers: each host reads the origin
// for itself, as with a cache per node. The figure is beside a burst in the zone.
func TestProveZoneBurstAlone(t *testing.T) {
	alone(t)
	measureBurstAlone(t, own())
}

func measureBurstAlone(t *testing.T, f *fields) {
	alone := runBurst(t, f, options(t, zone.Alone))
	figure.Report(t, "zone.burst16_alone.vs_bound", alone.vsBound, "x")
	figure.Report(t, "zone.burst16_alone.origin_bytes_per_distinct", alone.bytesPerByte, "x")
	together := runBurst(t, f, options(t, zone.Redirect))
	checkOnce(t, together)
	figure.Report(t, "zone.burst16.speedup", alone.vsBound/together.vsBound, "x")
}
