package spread

import "slices"

// swarm has every host ask its neighbours for pieces that they have whole, and
// tells it at once what they get.
type swarm struct {
	*sim
	plain
	peers    map[*host]*peer
	perPeer  int // pieces asked of one neighbour at a time
	perHost  int // pieces asked for at a time
	rarest   bool
	upstream []*host // seeds that read the origin
}

// A peer is a host's part in a swarm.
type peer struct {
	from   []*host // whom it may ask
	to     []*host // who may ask it
	asked  map[*host]int
	copies []uint16 // of each piece, among those it may ask
	out    int
	next   int // all pieces below are here or asked for
}

func newSwarm(s *sim) *swarm { return &swarm{sim: s, peers: map[*host]*peer{}} }

func (w *swarm) join(h *host) {
	w.peers[h] = &peer{asked: map[*host]int{}, copies: make([]uint16, len(w.Sizes))}
}

// connect lets h ask from for pieces.
func (w *swarm) connect(h, from *host) {
	w.peers[h].from = append(w.peers[h].from, from)
	w.peers[from].to = append(w.peers[from].to, h)
	for b, at := range from.at {
		if at == whole {
			w.peers[h].copies[b]++
		}
	}
}

// newKraken is Kraken's (github.com/uber/kraken): a tracker hands every agent
// random peers, agents hold at most ten connections (lib/torrent/scheduler/connstate:
// max_open_conn), so that they form a random regular graph; pieces of 4 MiB go
// rarest first (piece_request_policy of its agents' config), three requests to a
// peer at a time (dispatch: pipeline_limit). Five origins with links as fast as
// the agents' (as in its README's benchmark) hold the image before the burst: the
// origin of the zone is not read. Left out: announcements every few seconds,
// end game, blacklists.
func newKraken(s *sim) protocol {
	const degree, origins, pipeline = 10, 5, 3
	w := newSwarm(s)
	w.perPeer, w.perHost, w.rarest = pipeline, degree*pipeline, true
	var all []*host
	for i := range origins {
		o := s.host(len(s.hosts)+i, "origin", s.Rate/8e9)
		for b := range o.at {
			o.at[b] = whole
		}
		all = append(all, o)
	}
	for _, h := range s.hosts {
		if h.reader {
			all = append(all, h)
		}
	}
	for _, h := range all {
		w.join(h)
		h.active = degree * pipeline
	}
	for n := range all[origins:] {
		h := all[origins+n]
		for tries := 0; len(w.peers[h].from) < min(degree, len(all)-1) && tries < 20*degree; tries++ {
			// The tracker knows who has announced before, and the origins.
			o := all[s.rng.IntN(len(all))]
			if o != h && len(w.peers[o].from) < degree && !slices.Contains(w.peers[h].from, o) {
				w.connect(h, o)
				w.connect(o, h)
			}
		}
	}
	return w
}

// newDragonfly is Dragonfly 2's (github.com/dragonflyoss/Dragonfly2,
// scheduler/scheduling and scheduler/config/constants.go): a scheduler samples 40
// peers of a task for each one that comes, keeps those that are not behind it, and
// gives it the best four as parents (DefaultSchedulerFilterParentLimit,
// ...RangeLimit); here the best are those with the fewest children, which is
// kindest in a burst, where nobody has anything yet. A peer takes pieces of 4 MiB
// from parents that have them whole, four at a time (DefaultPeerParallelCount).
// Three seed peers read the source, a third of the pieces each, and pass them to
// each other.
func newDragonfly(s *sim) protocol {
	const parents, sample, seeds, parallel = 4, 40, 3, 4
	w := newSwarm(s)
	w.perPeer, w.perHost = parallel, parallel
	var come []*host
	for i := range seeds {
		seed := s.host(len(s.hosts)+i, "seed", s.Rate/8e9)
		seed.active, seed.started = sample, true
		w.join(seed)
		for _, other := range come {
			w.connect(seed, other)
			w.connect(other, seed)
		}
		come = append(come, seed)
	}
	w.upstream = slices.Clone(come)
	for _, i := range s.rng.Perm(len(s.hosts)) {
		h := s.hosts[i]
		if !h.reader {
			continue
		}
		w.join(h)
		h.active = sample
		var candidates []*host
		for range sample {
			if c := come[s.rng.IntN(len(come))]; !slices.Contains(candidates, c) {
				candidates = append(candidates, c)
			}
		}
		slices.SortStableFunc(candidates, func(a, b *host) int { return len(w.peers[a].to) - len(w.peers[b].to) })
		for _, c := range candidates[:min(parents, len(candidates))] {
			w.connect(h, c)
		}
		come = append(come, h)
	}
	s.after(0, func() {
		for i, seed := range w.upstream {
			for b := i; b < min(len(s.Sizes), seeds*parallel); b += seeds {
				s.readOrigin(seed.await(b))
			}
		}
	})
	return w
}

func (w *swarm) start(h *host) { w.fill(h) }

// fill asks for pieces as long as there are some to ask for.
func (w *swarm) fill(h *host) {
	p := w.peers[h]
	for p.out < w.perHost && len(h.at) > 0 {
		from, b := w.choose(h, p)
		if from == nil {
			return
		}
		w.want(h, p, from, b)
	}
}

func (w *swarm) want(h *host, p *peer, from *host, b int) {
	p.out++
	p.asked[from]++
	w.askFor(h.await(b), from)
}

// choose returns the piece to ask for and of whom: the rarest or the first one,
// of the neighbour that is asked for least.
func (w *swarm) choose(h *host, p *peer) (from *host, piece int) {
	for p.next < len(h.at) && h.at[p.next] != absent {
		p.next++
	}
	most := uint16(0)
	n := len(h.at) - p.next
	if n == 0 {
		return nil, 0
	}
	offset := 0
	if w.rarest {
		offset = w.rng.IntN(n) // pieces as rare as others are drawn
	}
	for k := range n {
		b := p.next + (k+offset)%n
		if h.at[b] != absent || p.copies[b] == 0 || most != 0 && p.copies[b] >= most {
			continue
		}
		least := w.perPeer
		for _, o := range p.from {
			if o.at[b] < 0 && !o.knownDead && p.asked[o] < least {
				from, piece, least, most = o, b, p.asked[o], p.copies[b]
			}
		}
		if from != nil && !w.rarest {
			break
		}
	}
	return from, piece
}

func (w *swarm) got(x *arrival) {
	h, b := x.host, x.block
	p := w.peers[h]
	if x.asked != w.origin {
		p.out--
		p.asked[x.asked]--
	}
	for _, o := range p.to {
		w.messages++
		w.message(func() { w.heard(o, b) })
	}
	if i := slices.Index(w.upstream, h); i >= 0 && b%len(w.upstream) == i {
		if next := b + len(w.upstream)*w.perHost; next < len(w.Sizes) && h.at[next] == absent {
			w.readOrigin(h.await(next))
		}
	}
	if h.started {
		w.fill(h)
	}
}

// heard tells a host that a neighbour has the piece.
func (w *swarm) heard(h *host, b int) {
	p := w.peers[h]
	if p.copies[b]++; h.started && !h.dead {
		w.fill(h)
	}
}

func (w *swarm) lost(x *arrival) {
	p := w.peers[x.host]
	p.out--
	p.asked[x.asked]--
	p.next = min(p.next, x.block)
	x.host.abandon(x)
	w.fill(x.host)
}
