package day

import (
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// small is a zone that runs within a second.
func small() Options {
	o := Default()
	o.Hosts, o.Images, o.Starts, o.Bursts, o.BurstSize = 10, 20, "diurnal:0.005-0.025/s@12h", 4, 20
	o.L1, o.L2 = 32<<20, 64<<20
	o.Warm, o.Length = 12*time.Hour, 12*time.Hour
	if figure.Instrumented {
		o.Warm, o.Length = 3*time.Hour, 3*time.Hour
	}
	return o
}

func run1(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every read has one tier; the origin is read at least once for each block the zone
// never had; a seed repeats.
func TestTheBooksBalance(t *testing.T) {
	o := small()
	r := run1(t, o)
	for _, c := range []Counts{r.Warm, r.Day} {
		if c.Reads == 0 || c.L1+c.L2+c.L3+c.L4 != c.Reads {
			t.Errorf("%d reads: %d of L1, %d of L2, %d of L3, %d of L4", c.Reads, c.L1, c.L2, c.L3, c.L4)
		}
		if c.OriginReads < c.New || c.OriginReads < c.L4 || c.OriginBytes < c.NewBytes || c.Distinct < c.New {
			t.Errorf("%+v", c)
		}
		if c.L1 == 0 || c.L2 == 0 || c.L3 == 0 || c.L4 == 0 || c.New == 0 {
			t.Errorf("a tier that serves nothing: %+v", c)
		}
	}
	if again := run1(t, o); *again != *r {
		t.Errorf("the same seed: %+v, then %+v", r, again)
	}
	o.Seed++
	if other := run1(t, o); other.Day == r.Day {
		t.Error("another seed gives the same day")
	}
}

// With room for everything, and hosts that stay, the origin is read for what is new and
// for nothing else.
func TestOnlyNewBlocksReachTheOrigin(t *testing.T) {
	o := small()
	o.L2, o.Replaced = 8<<30, 0
	r := run1(t, o)
	for _, c := range []Counts{r.Warm, r.Day} {
		if c.OriginReads != c.New {
			t.Errorf("%d reads of the origin for %d new blocks", c.OriginReads, c.New)
		}
	}
	if figure.Instrumented {
		return // three hours are too few to read what there is
	}
	o.PublishEvery, o.PatchEvery = 1000*time.Hour, 1000*time.Hour
	if calm := run1(t, o); calm.Day.New >= r.Day.New/2 {
		t.Errorf("%d new blocks where little is published, %d where much is", calm.Day.New, r.Day.New)
	}
}

// Less room, a host that is lost, and disks that take everything each cost what they
// should.
func TestWhatCosts(t *testing.T) {
	if figure.Instrumented {
		t.Skip("four days of a zone; the others run the same code")
	}
	o := small()
	o.Replaced = 0
	base := run1(t, o).Day
	less := o
	less.L1, less.L2 = 4<<20, 32<<20
	if c := run1(t, less).Day; c.OriginReads <= base.OriginReads {
		t.Errorf("half the disks: %d reads of the origin, %d with all", c.OriginReads, base.OriginReads)
	}
	lost := o
	lost.Replaced = 4
	if c := run1(t, lost).Day; c.OriginReads <= base.OriginReads {
		t.Errorf("hosts are lost: %d reads of the origin, %d where they stay", c.OriginReads, base.OriginReads)
	}
	always := o
	always.Always = true
	if c := run1(t, always).Day; c.Written <= base.Written {
		t.Errorf("all disks take everything: %d bytes are written, %d where they take the hot", c.Written, base.Written)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"hosts": func(o *Options) { o.Hosts = 1 }, "L1": func(o *Options) { o.L1 = 0 }, "L2": func(o *Options) { o.L2 = 1 << 20 },
		"images": func(o *Options) { o.Images = 0 }, "starts": func(o *Options) { o.Starts = "now" }, "length": func(o *Options) { o.Length = 0 },
		"versions": func(o *Options) { o.PublishEvery = 0 }, "deaths": func(o *Options) { o.Replaced = 10 }, "law": func(o *Options) { o.Zipf = -1 },
	} {
		o := small()
		change(&o)
		if _, err := Run(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A host's reads can be recorded, and its disk's.
func TestStreams(t *testing.T) {
	o := small()
	s, err := Record(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Host.IDs) == 0 || len(s.Disk.IDs) == 0 || len(s.Host.IDs) != len(s.Host.Sizes) || len(s.Disk.IDs) != len(s.Disk.Sizes) {
		t.Errorf("%d reads by the host, %d of its disk", len(s.Host.IDs), len(s.Disk.IDs))
	}
}

// TestProveDay is a day of the zone that the goals are stated for.
func TestProveDay(t *testing.T) {
	o := Default()
	if !figure.Full() {
		o = small()
	}
	r := run1(t, o)
	c := r.Day
	t.Logf("%+v", r)
	figure.Report(t, "hitrate.day.origin_share_percent", 100*c.OriginShare(), "%")
	figure.Report(t, "hitrate.day.new_share_percent", 100*c.NewShare(), "%")
	figure.Report(t, "hitrate.day.zone_hit_rate_percent", 100*c.HitRate(), "%")
	figure.Report(t, "hitrate.day.reads_per_block", c.PerDistinct(), "reads")
	figure.Report(t, "hitrate.day.origin_reads_per_new_block", float64(c.OriginReads)/float64(c.New), "reads")
	figure.Report(t, "hitrate.day.local_share_percent", 100*c.Share(c.L1+c.L2), "%")
	figure.Report(t, "hitrate.day.zone_l2_by_read", r.ZoneL2(), "x")
	if !figure.Full() {
		if c.OriginShare() <= 0 || c.OriginShare() < c.NewShare() || c.OriginShare() > .1 || c.PerDistinct() < 1 || c.Share(c.L1+c.L2) > c.HitRate() {
			t.Errorf("%.4f of the reads are hits, %.4f by the host itself; the origin has %.4f, %.4f of them of new blocks; %.2f reads a block",
				c.HitRate(), c.Share(c.L1+c.L2), c.OriginShare(), c.NewShare(), c.PerDistinct())
		}
		return
	}
	for name, l2 := range map[string]int64{"half": 410 << 20, "eighth": 102 << 20} {
		o.L2 = l2
		figure.Report(t, "hitrate.day."+name+"_l2.origin_share_percent", 100*run1(t, o).Day.OriginShare(), "%")
	}
}
