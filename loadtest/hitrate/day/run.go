package day

import (
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/hitrate/product"
	"github.com/zonecache/cached/loadtest/workload"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer/hot"
)

// A host is one of a zone.
type host struct {
	name  string
	alive bool
	l1    *product.L1Model
	l2    *product.L2
	heat  hot.Heat   // of the blocks it owns
	hot   hot.Recent // what other owners called hot
}

// A zone is the hosts, and who owns what.
type zone struct {
	o       Options
	fleet   *fleet
	hosts   []*host
	index   map[string]uint16 // by name
	ring    *placement.Ring
	holders []holders // by block
	epoch   uint32    // of the ring, for holders
	after   int       // readers that make a block hot
	now     time.Time
	count   *Counts
	seen    []bool // blocks that were ever read
	today   []bool // in the part that is counted now
	bytes   int64  // of those
	joined  int
	written int64 // to disks of hosts that are gone
	tap     *Streams
}

type holders struct {
	epoch         uint32
	first, second uint16
}

// Run simulates a day.
func Run(o Options) (*Result, error) { return run(o, nil) }

func run(o Options, tap *Streams) (*Result, error) {
	arrivals, err := o.check()
	if err != nil {
		return nil, err
	}
	popular, err := workload.Zipf(max(o.Images, 1), o.Zipf)
	if err != nil {
		return nil, fmt.Errorf("day: %w", err)
	}
	f, err := newFleet(o.Images, o.Seed)
	if err != nil {
		return nil, err
	}
	z := &zone{o: o, fleet: f, index: map[string]uint16{}, now: time.Unix(0, 0), tap: tap}
	z.hosts = make([]*host, o.Hosts)
	for i := range z.hosts {
		z.join(i)
	}
	z.newRing()
	r := &Result{Options: o}
	z.count = &r.Warm
	rng := workload.Rand(o.Seed, "starts")
	// The most popular image is any of them: sizes and bases do not go by popularity.
	image := workload.Rand(o.Seed, "ranks").Perm(o.Images)
	events := o.events(len(f.bases), popular)
	for a := range arrivals.Arrivals(o.Seed) {
		for len(events) > 0 && events[0].at <= a.At {
			z.happen(r, events[0], image, rng.IntN)
			events = events[1:]
		}
		if a.At >= o.Warm+o.Length {
			break
		}
		z.at(r, a.At)
		z.start(image[popular.Next(rng)], rng.IntN)
	}
	r.Day.Written = z.disks() - r.Warm.Written
	r.DistinctBytes = z.bytes
	return r, nil
}

// at moves the clock on.
func (z *zone) at(r *Result, t time.Duration) {
	z.now = time.Unix(0, int64(t))
	if z.count == &r.Warm && t >= z.o.Warm {
		z.count = &r.Day
		clear(z.today)
		z.bytes = 0
		r.Warm.Written = z.disks()
	}
}

func (z *zone) disks() int64 {
	sum := z.written
	for _, h := range z.hosts {
		n, _ := h.l2.Written()
		sum += n
	}
	return sum
}

func (z *zone) happen(r *Result, e event, image []int, draw func(int) int) {
	if e.at >= z.o.Warm+z.o.Length {
		return
	}
	z.at(r, e.at)
	switch e.kind {
	case burst:
		z.start(image[e.what], draw)
	case publish:
		z.fleet.publish(e.what)
	case patch:
		z.fleet.patch(e.what)
	case death:
		z.hosts[e.what].alive = false
		z.newRing()
	case join:
		n, _ := z.hosts[e.what].l2.Written()
		z.written += n
		z.join(e.what)
		z.newRing()
	}
}

// join puts a host with empty caches in a place.
func (z *zone) join(i int) {
	z.joined++
	l2 := product.NewL2(z.o.L2)
	if z.o.KeepOwned {
		l2 = product.NewL2Keeping(z.o.L2, func(id block.ID) bool {
			owner, _ := z.holdersOf(uint32(product.Number(id)))
			return int(owner) == i
		})
	}
	z.hosts[i] = &host{
		name: fmt.Sprintf("host-%04d", z.joined), alive: true,
		l1: product.NewL1Model(z.o.L1, z.o.Seed+uint64(z.joined)), l2: l2,
		hot: hot.Recent{Keep: hot.For},
	}
	z.index[z.hosts[i].name] = uint16(i)
}

func (z *zone) newRing() {
	var members []placement.Member
	for _, h := range z.hosts {
		if h.alive {
			members = append(members, placement.Member{Name: h.name, Weight: 1})
		}
	}
	z.ring = placement.NewRing(members)
	z.epoch++
	z.after = hot.After(hot.DefaultAfter, len(members))
}

// start has an image started on one of the hosts.
func (z *zone) start(image int, draw func(int) int) {
	h := draw(len(z.hosts))
	for !z.hosts[h].alive {
		h = draw(len(z.hosts))
	}
	z.count.Starts++
	z.fleet.start(image, func(b uint32) { z.ask(uint16(h), b) })
}
