package spread

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/zonecache/cached/placement"
)

// A sim is a zone at work.
type sim struct {
	Zone
	*agenda
	rng      *rand.Rand
	hosts    []*host
	byName   map[string]*host
	origin   *host
	protocol protocol

	bound, reachable time.Duration

	messages, originReads, gone, turned, mostHops int
	originBytes                                   int64
}

// A protocol decides who asks whom for what. The sim calls it when something
// has happened at a host.
type protocol interface {
	start(h *host)                         // it may begin to read
	flows(x *arrival)                      // its first bytes are here and can be passed on
	got(x *arrival)                        // all of it is here
	sent(d *send, result placement.Result) // it is off the link, or the reader has gone elsewhere
	died(dead *host)                       // all know that now
	lost(x *arrival)                       // who was asked last for it is known to be dead
}

// plain is a protocol in which nothing happens.
type plain struct{}

func (plain) flows(*arrival)               {}
func (plain) sent(*send, placement.Result) {}
func (plain) died(*host)                   {}

// Run lets the image spread through the zone.
func Run(z Zone, p Protocol) *Result {
	s := newSim(z, p)
	began := time.Now()
	events := s.run()
	return s.result(p, events, time.Since(began))
}

func newSim(z Zone, p Protocol) *sim {
	recipe := protocols[p]
	s := &sim{byName: map[string]*host{}, rng: rand.New(rand.NewPCG(z.Seed, 1))}
	s.bound, s.reachable = z.Bound(), z.Reachable()
	z.die()
	z.Sizes = recipe.pieces(&z)
	s.Zone = z.withDefaults(recipe.heldBack(&z))
	chunk := seconds(float64(s.Chunk) * 8 / s.Rate)
	s.agenda = newAgenda(chunk / time.Duration(2*s.Hosts+2))
	s.origin = s.host(-1, "origin", s.OriginRate/8e9)
	s.origin.at, s.origin.active = nil, math.MaxInt
	for i := range s.Hosts {
		h := s.host(i, fmt.Sprint("h", i), s.Rate/8e9)
		s.hosts, s.byName[h.name] = append(s.hosts, h), h
	}
	for n, i := range s.rng.Perm(s.Hosts) {
		s.hosts[i].reader = n < s.Readers
	}
	s.protocol = recipe.make(s)
	for _, h := range s.hosts {
		if !h.reader {
			continue
		}
		s.after(time.Duration(s.rng.Float64()*float64(s.Spread)), func() {
			if h.began = s.now; !h.dead {
				h.started = true
				s.protocol.start(h)
			}
		})
	}
	for i, at := range s.Deaths {
		s.after(s.DeathFrom+time.Duration(i)*s.DeathEvery, s.hosts[at].die)
	}
	return s
}

// host returns a new host whose link carries rate bytes a nanosecond.
func (s *sim) host(i int, name string, rate float64) *host {
	h := &host{s: s, i: i, name: name, active: s.Limits.Active, slower: 1, at: make([]int32, len(s.Sizes)), had: make([]bool, len(s.Sizes)), left: len(s.Sizes)}
	if s.Slower != nil && i >= 0 && i < s.Hosts {
		h.slower = s.Slower(i)
	}
	h.up, h.down = rate/h.slower, rate/h.slower
	if h.active == 0 {
		h.active = placement.OnTheWire(mbits(h))
	}
	return h
}

// message is one small message over the network.
func (s *sim) message(do func()) {
	hop := s.Hop
	if s.Jitter > 0 {
		hop += time.Duration(s.Jitter * s.rng.Float64() * float64(hop))
	}
	s.after(hop, do)
}

// readOrigin has the origin send a block, from what is here of it already.
func (s *sim) readOrigin(x *arrival) {
	x.asked, x.source = s.origin, nil
	x.ask++
	s.originReads++
	ask := x.ask
	s.after(s.OriginDelay, func() {
		if !x.waits(ask) {
			return
		}
		x.lost = ""
		s.origin.serve(x)
	})
}

// askFor asks another host for a block; it sends it as soon as it has it.
func (s *sim) askFor(x *arrival, from *host) {
	x.asked, x.source = from, nil
	x.ask++
	s.messages++
	ask := x.ask
	s.message(func() {
		if from.dead || !x.waits(ask) {
			return // that it is dead will be known later
		}
		from.serve(x)
	})
}
