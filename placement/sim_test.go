package placement_test

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A zone describes a simulated burst: hosts that start one image at once. Rates
// are in bits a second, times in seconds.
type zone struct {
	hosts       int
	sizes       []int // of the blocks
	rate        float64
	originRate  float64
	originDelay float64
	hop         float64 // default 0.1 ms
	jitter      float64 // share of a hop it may be longer by
	spread      float64 // of the hosts' starts; default 0.2 ms
	slow        func(i int) float64
	deaths      []int // who dies, one after the other
	deathFrom   float64
	deathEvery  float64
	detect      float64 // until a death is known; default 50 ms
	limits      placement.Limits
	order       placement.OrderLimits
	ahead       placement.OrderLimits
	heldBack    int  // what readers get only of a verified block; default 4 KiB, as block.Arrival does
	inFlight    int  // chunks a send may be ahead of its reader, as TCP's window; default 8
	originTurns int  // blocks the origin's link carries in turn; default all that are asked for
	strict      bool // a send keeps its place on the wire though it has nothing to send
	noRate      bool // desks do not know that their link is slow
	seed        uint64
}

// A sim is a zone at work.
type sim struct {
	zone
	now    float64
	turn   uint64
	agenda agenda
	rng    *rand.Rand

	ids    []block.ID
	owners [][3]*host // of each block: owner, successor, its successor
	hosts  []*host
	byName map[string]*host
	origin *host

	messages, originReads, gone, turned, mostHops int
}

// usual returns the rate of the links in Mbit/s and the mean size of the blocks.
func (z zone) usual() (rate uint32, mean int) {
	total := 0
	for _, n := range z.sizes {
		total += n
	}
	return uint32(z.rate / 1e6), total / len(z.sizes)
}

func equalBlocks(n, size int) []int { return slices.Repeat([]int{size}, n) }

// variedBlocks returns sizes around mean that add up to about total.
func variedBlocks(total, mean int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 3))
	var sizes []int
	for total > 0 {
		n := min(total, max(8<<10, int(float64(mean)*(0.4+1.2*rng.Float64()))))
		sizes = append(sizes, max(n, 8<<10))
		total -= n
	}
	return sizes
}

func simulate(z zone) *sim {
	set := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
	}
	set(&z.hop, 1e-4)
	set(&z.spread, 2e-4)
	set(&z.detect, 0.05)
	if z.ahead == (placement.OrderLimits{}) {
		z.ahead = placement.LookAhead(z.usual())
	}
	if z.order == (placement.OrderLimits{}) {
		z.order = placement.DefaultOrder(z.usual())
	}
	for _, v := range []struct {
		v   *int
		def int
	}{{&z.heldBack, 4 << 10}, {&z.inFlight, 8}, {&z.originTurns, math.MaxInt}} {
		if *v.v == 0 {
			*v.v = v.def
		}
	}
	s := &sim{zone: z, rng: rand.New(rand.NewPCG(z.seed, 1)), byName: map[string]*host{}}
	s.origin = &host{sim: s, name: "origin", up: z.originRate / 8, active: z.originTurns}
	for i := range z.hosts {
		h := &host{
			sim: s, name: fmt.Sprint("h", i), up: z.rate / 8, down: z.rate / 8, active: 4, seed: s.rng.Uint64(),
			desk: placement.NewDesk(z.limits), have: make([]holding, len(z.sizes)), left: len(z.sizes),
		}
		if z.slow != nil {
			h.up, h.down = h.up/z.slow(i), h.down/z.slow(i)
			if !z.noRate {
				h.desk.SetRate(uint32(h.up*8/1e6), uint32(z.rate/1e6))
			}
		}
		s.hosts, s.byName[h.name] = append(s.hosts, h), h
	}
	for b := range z.sizes {
		s.ids = append(s.ids, block.Sum(fmt.Append(nil, "block", b, z.seed)))
		var o [3]*host
		for i := range o {
			o[i] = s.hosts[(s.rng.IntN(z.hosts)+i)%z.hosts]
		}
		s.owners = append(s.owners, o)
	}
	s.begin()
	s.run()
	return s
}

func (s *sim) begin() {
	for _, h := range s.hosts {
		h.order = placement.NewOrder(len(s.sizes), h.seed, s.zone.order)
		h.own = placement.NewOrder(len(s.sizes), h.seed, s.ahead)
		for b := range s.sizes {
			if s.owners[b][0] == h {
				h.order.Skip(b)
			} else {
				h.own.Skip(b)
			}
		}
		s.after(s.spread*s.rng.Float64(), func() {
			h.began = s.now
			h.read()
		})
	}
	for i, at := range s.deaths {
		s.after(s.deathFrom+float64(i)*s.deathEvery, s.hosts[at].die)
	}
	heap.Init(&s.agenda)
}

func (s *sim) ownerOf(b int) *host {
	for _, h := range s.owners[b] {
		if !h.knownDead {
			return h
		}
	}
	for _, h := range s.hosts {
		if !h.knownDead {
			return h
		}
	}
	return s.hosts[0]
}

// alive says who can be redirected to.
func (s *sim) alive(name string) bool {
	h := s.byName[name]
	return !h.knownDead && (s.noRate || !placement.Slow(uint32(h.up*8/1e6), uint32(s.rate/1e6)))
}

// bound is when everybody can hold everything at the earliest:
// (1 + floor(log2 N)/M) S/B.
func (s *sim) bound() float64 {
	total := 0
	for _, n := range s.sizes {
		total += n
	}
	return (1 + math.Floor(math.Log2(float64(s.zone.hosts)))/float64(len(s.sizes))) * float64(total) * 8 / s.rate
}

// times returns how long the hosts that survived and are as asked took until they
// had everything, over the bound, ascending; +Inf for those who never had.
func (s *sim) times(which func(*host) bool) []float64 {
	var all []float64
	for _, h := range s.hosts {
		switch {
		case h.dead || which != nil && !which(h):
		case h.left > 0:
			all = append(all, math.Inf(1))
		default:
			all = append(all, (h.finish-h.began)/s.bound())
		}
	}
	slices.Sort(all)
	return all
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// firstBlock returns how long a host waited for its first block at most, in
// seconds.
func (s *sim) firstBlock() float64 {
	last := 0.0
	for _, h := range s.hosts {
		last = max(last, h.first-h.began)
	}
	return last
}

// stuck describes what the survivors still lack, for a test that fails.
func (s *sim) stuck() (text string) {
	for _, h := range s.hosts {
		for b, x := range h.have {
			if h.dead || x.bytes == s.sizes[b] {
				continue
			}
			asked := "nobody"
			if x.asked != nil {
				asked = fmt.Sprintf("%s (dead %v)", x.asked.name, x.asked.dead)
			}
			text += fmt.Sprintf("\n%s has %d of %d bytes of block %d of %s: wanted %v, asked %s, source %v, lost %q, hops %d, waiting %v, sends %d",
				h.name, x.bytes, s.sizes[b], b, s.ownerOf(b).name, x.wanted, asked, x.source != nil, x.lost, x.hops, x.waiting, h.desk.Sends())
		}
	}
	return text
}

func (s *sim) String() string {
	t := s.times(nil)
	return fmt.Sprintf("%.3f %.3f %.3f of %.2f s; first block %.0f ms; %.1f messages a block, %d hops, %d gone; %d origin reads of %d",
		quantile(t, .5), quantile(t, .99), t[len(t)-1], s.bound(), s.firstBlock()*1e3,
		float64(s.messages)/float64(len(s.sizes)*len(s.hosts)), s.mostHops, s.gone, s.originReads, len(s.sizes))
}
