package account

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/block"
)

// A Size is what a bounded tier says of its room, in bytes.
type Size interface {
	Used() int64
	Capacity() int64
}

// An Evicter is a tier that says how many blocks it dropped to make room.
type Evicter interface{ Evictions() int64 }

// A Decliner is a tier that says how many offered blocks it did not keep, by reason.
// All its reasons are there from the start.
type Decliner interface{ Declined() map[string]int64 }

// An Ager is a tier that says when the oldest of what it holds came into it; the zero
// time while it holds nothing.
type Ager interface{ Oldest() time.Time }

// A Persister is a tier that writes to a medium which may refuse it.
type Persister interface {
	BytesWritten() int64   // rewritten ones included
	BytesRewritten() int64 // bytes it held already and wrote once more, to keep them
	WriteErrors() int64    // writes the medium refused
	Lost() int64           // blocks given up, after they were accepted
	Sick() error           // why it declines all it is offered, nil when it is well
}

// NotAdmitted is the reason for which [Ledger.Admission] refuses blocks.
const NotAdmitted = "not_admitted"

// Gauges are what the collector shows beside the ledger's own books.
type Gauges struct {
	// Tiers are the bounded tiers. Those that are an [Evicter], a [Decliner], an
	// [Ager] or a [Persister] show that, too.
	Tiers map[block.Tier]Size
	// Zone is the node's part in L3; nil when it has no peers.
	Zone Zone
	// Ahead says what came of what was read ahead; nil shows nothing.
	Ahead func() Ahead
	// Pins says what pins keep; nil shows nothing.
	Pins func() Pins
}

// Collector returns the ledger as Prometheus series, each of which is there from
// the start. The values are read when a registry collects them.
func (l *Ledger) Collector(g Gauges) prometheus.Collector {
	return &collector{ledger: l, tiers: g.Tiers, zone: g.Zone, ahead: g.Ahead, pins: g.Pins, series: newSeries(), zoneDescs: newZoneDescs(), aheadDescs: newAheadDescs(), pinDescs: newPinDescs()}
}

type collector struct {
	ledger *Ledger
	tiers  map[block.Tier]Size
	zone   Zone
	ahead  func() Ahead
	pins   func() Pins
	series
	zoneDescs
	aheadDescs
	pinDescs
}

type series struct {
	reads, readBytes, readTime, readErrors, inFlight *prometheus.Desc
	prefetched, prefetchedBytes                      *prometheus.Desc
	tenantReads, tenantBytes                         *prometheus.Desc

	tierReads, tierBytes, tierTime, tierOffers, damaged *prometheus.Desc
	used, capacity, evictions, declines, oldest         *prometheus.Desc
	written, rewritten, writeErrors, lost, sick         *prometheus.Desc

	originRequests, originBytes, originAgain, originDistinct, originOwned, originSaturated, joined *prometheus.Desc
}

func newSeries() series {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("cached_"+name, help, labels, nil)
	}
	return series{
		reads:           desc("block_reads_total", "Reads of this node's users, by the tier that served them (error: none), why, and by which interface they came (node: it reads by itself).", "tier", "cause", "interface"),
		readBytes:       desc("block_read_bytes_total", "Bytes served to this node's users.", "tier", "cause", "interface"),
		readTime:        desc("block_read_duration_seconds", "How long reads of this node's users took, by the tier that served them (error: none), and why they were made.", "tier", "cause"),
		readErrors:      desc("block_read_errors_total", "Failed reads of this node's users, by kind, and why they were made.", "kind", "cause"),
		prefetched:      desc("block_reads_prefetched_total", "Reads of programs (cause demand) that l1 or l2 served only because the block had been read from the object store ahead of them, just before: no hits."),
		prefetchedBytes: desc("block_read_bytes_prefetched_total", "Bytes of the reads that cached_block_reads_prefetched_total counts."),
		inFlight:        desc("requests_in_flight", "Reads of this node's users that have not ended."),

		tenantReads: desc("tenant_block_reads_total", "Reads of this node's users by tenant, of those in metrics.tenants; other: all others together.", "tenant", "tier"),
		tenantBytes: desc("tenant_block_read_bytes_total", "Bytes served to this node's users by tenant.", "tenant", "tier"),

		tierReads:  desc("tier_reads_total", "Reads of one tier, by outcome.", "tier", "outcome"),
		tierBytes:  desc("tier_read_bytes_total", "Bytes of blocks read from one tier.", "tier"),
		tierTime:   desc("tier_read_duration_seconds", "How long the reads of one tier took that returned a block.", "tier"),
		tierOffers: desc("tier_offers_total", "Blocks offered to one tier, kept or declined.", "tier"),
		damaged:    desc("integrity_failures_total", "Blocks that were not what their id says, by where they came from.", "source"),
		used:       desc("tier_used_bytes", "Bytes a tier occupies.", "tier"),
		capacity:   desc("tier_capacity_bytes", "Bytes a tier may occupy.", "tier"),
		evictions:  desc("tier_evictions_total", "Blocks a tier dropped to make room.", "tier"),
		declines:   desc("tier_declines_total", "Blocks that a tier did not keep, by reason.", "tier", "reason"),
		oldest:     desc("tier_oldest_entry_age_seconds", "How long ago the oldest of what a tier holds came into it; 0: it holds nothing.", "tier"),

		written:     desc("tier_written_bytes_total", "Bytes a tier wrote to its medium, rewritten ones included.", "tier"),
		rewritten:   desc("tier_rewritten_bytes_total", "Bytes a tier held already and wrote once more, to keep them.", "tier"),
		writeErrors: desc("tier_write_errors_total", "Writes a tier's medium refused.", "tier"),
		lost:        desc("tier_lost_blocks_total", "Blocks a tier accepted and gave up, because its medium failed.", "tier"),
		sick:        desc("tier_sick", "1 while a tier declines all it is offered, because its medium takes no writes.", "tier"),

		originRequests:  desc("origin_requests_total", "Requests to the object store.", "op"),
		originBytes:     desc("origin_read_bytes_total", "Bytes of content read from the object store."),
		originDistinct:  desc("origin_distinct_blocks", "Different blocks read from the object store."),
		originOwned:     desc("origin_owned_blocks", "Different blocks read from the object store that this node owned then: summed over a zone, each counts once, whoever else read it."),
		originAgain:     desc("origin_refetched_bytes_total", "Bytes of blocks read from the object store that this node had read from it before."),
		joined:          desc("shared_reads_total", "Reads that joined one of the same block in progress."),
		originSaturated: desc("origin_distinct_saturated", "1 if there were more different blocks than are counted."),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.reads, c.readBytes, c.readTime, c.readErrors, c.inFlight, c.prefetched, c.prefetchedBytes, c.tenantReads, c.tenantBytes,
		c.tierReads, c.tierBytes, c.tierTime, c.tierOffers, c.damaged,
		c.used, c.capacity, c.evictions, c.declines, c.oldest,
		c.written, c.rewritten, c.writeErrors, c.lost, c.sick,
		c.originRequests, c.originBytes, c.originAgain, c.originDistinct, c.originOwned, c.originSaturated, c.joined,
	} {
		out <- d
	}
	if c.zone != nil {
		c.zoneDescs.describe(out)
	}
	if c.ahead != nil {
		c.aheadDescs.describe(out)
	}
	if c.pins != nil {
		c.pinDescs.describe(out)
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.ledger.snapshot(withoutImages)
	c.collectRequests(sink(out), s.Requests)
	c.collectTenants(sink(out), s.Tenants)
	for i, m := range s.Tiers {
		c.collectTier(sink(out), block.Tiers[i], m)
	}
	c.collectOrigin(sink(out), s.Origin)
	sink(out).counter(c.originAgain, c.ledger.again.Load())
	sink(out).counter(c.joined, c.ledger.joined.Load())
	if c.zone != nil {
		c.zoneDescs.collect(sink(out), c.zone)
	}
	if c.ahead != nil {
		c.aheadDescs.collect(sink(out), c.ahead())
	}
	if c.pins != nil {
		c.pinDescs.collect(sink(out), c.pins())
	}
}

func (c *collector) collectRequests(out sink, r Requests) {
	for _, via := range r.Interfaces {
		for _, cause := range block.Causes {
			served := via.Served.Of(cause)
			for _, t := range block.Tiers {
				out.counter(c.reads, served.Tier(t).Blocks, t.String(), cause.String(), via.Interface)
				out.counter(c.readBytes, served.Tier(t).Bytes, t.String(), cause.String(), via.Interface)
			}
			out.counter(c.reads, served.Errors, "error", cause.String(), via.Interface)
			out.counter(c.readBytes, 0, "error", cause.String(), via.Interface)
		}
	}
	for _, cause := range block.Causes {
		latency := r.Latency.Of(cause)
		for _, t := range block.Tiers {
			c.histogram(out, c.readTime, *latency.of(row(t)), &c.ledger.examples.requests[t][cause], t.String(), cause.String())
		}
		c.histogram(out, c.readTime, latency.Error, &c.ledger.examples.requests[rowFailed][cause], "error", cause.String())
		for k := range kindCount {
			out.counter(c.readErrors, *r.Errors.Of(cause).of(k), kindNames[k], cause.String())
		}
	}
	out.gauge(c.inFlight, r.InFlight)
	out.counter(c.prefetched, r.Prefetched.Blocks)
	out.counter(c.prefetchedBytes, r.Prefetched.Bytes)
}

func (c *collector) collectTenants(out sink, tenants []Tenant) {
	for _, tenant := range tenants {
		for _, t := range block.Tiers {
			out.counter(c.tenantReads, tenant.Served.Tier(t).Blocks, tenant.Name, t.String())
			out.counter(c.tenantBytes, tenant.Served.Tier(t).Bytes, tenant.Name, t.String())
		}
		out.counter(c.tenantReads, tenant.Served.Errors, tenant.Name, "error")
		out.counter(c.tenantBytes, 0, tenant.Name, "error")
	}
}

func (c *collector) collectTier(out sink, t block.Tier, m Medium) {
	out.counter(c.tierReads, m.Hits.Blocks, m.Tier, "hit")
	for k := range kindCount {
		out.counter(c.tierReads, *m.Failures.of(k), m.Tier, kindNames[k])
	}
	out.counter(c.tierBytes, m.Hits.Bytes, m.Tier)
	c.histogram(out, c.tierTime, m.Latency, &c.ledger.examples.media[t], m.Tier)
	out.counter(c.tierOffers, m.Offers.Blocks, m.Tier)
	if t == block.Peer && c.zone != nil {
		m.Damaged = wrongOf(c.zone) // a wrong block is read elsewhere, below the ledger
	}
	if t != block.Memory { // memory is not checked again
		out.counter(c.damaged, m.Damaged, m.Tier)
	}
	tier, ok := c.tiers[t]
	if !ok {
		return
	}
	out.gauge(c.used, tier.Used(), m.Tier)
	out.gauge(c.capacity, tier.Capacity(), m.Tier)
	if e, ok := tier.(Evicter); ok {
		out.counter(c.evictions, e.Evictions(), m.Tier)
	}
	if d, ok := tier.(Decliner); ok {
		declined := d.Declined()
		for _, reason := range slices.Sorted(maps.Keys(declined)) {
			out.counter(c.declines, declined[reason], m.Tier, reason)
		}
		if t == block.Disk {
			out.counter(c.declines, c.ledger.refused[t].Load(), m.Tier, NotAdmitted)
		}
	}
	if a, ok := tier.(Ager); ok {
		age := 0.0
		if oldest := a.Oldest(); !oldest.IsZero() {
			age = max(time.Since(oldest).Seconds(), 0)
		}
		out <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, age, m.Tier)
	}
	if p, ok := tier.(Persister); ok {
		c.collectWrites(out, p, m.Tier)
	}
}

func (c *collector) collectWrites(out sink, p Persister, tier string) {
	out.counter(c.written, p.BytesWritten(), tier)
	out.counter(c.rewritten, p.BytesRewritten(), tier)
	out.counter(c.writeErrors, p.WriteErrors(), tier)
	out.counter(c.lost, p.Lost(), tier)
	sick := int64(0)
	if p.Sick() != nil {
		sick = 1
	}
	out.gauge(c.sick, sick, tier)
}

func (c *collector) collectOrigin(out sink, o Origin) {
	read := int64(0)
	for _, op := range o.Requests {
		out.counter(c.originRequests, op.Requests, op.Op)
		if op.Op == "get" {
			read += op.Bytes
		}
	}
	out.counter(c.originBytes, read)
	out.gauge(c.originDistinct, o.DistinctBlocks)
	out.gauge(c.originOwned, o.OwnedBlocks)
	saturated := int64(0)
	if o.DistinctSaturated {
		saturated = 1
	}
	out.gauge(c.originSaturated, saturated)
}

// A sink takes series of one collection.
type sink chan<- prometheus.Metric

func (s sink) counter(d *prometheus.Desc, v int64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s sink) gauge(d *prometheus.Desc, v int64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}
