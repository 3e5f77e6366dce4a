package spread

import "time"

// pull fetches whole layers: from the registry alone, or from who has them.
//
// Registry is what container runtimes do: dockerd pulls three layers of an image
// at a time (max-concurrent-downloads, docs.docker.com/reference/cli/dockerd), and
// so does containerd (max_concurrent_downloads in its CRI plugin's config).
//
// Spegel (github.com/spegel-org/spegel): a node advertises in a Kademlia table the
// layers that it holds whole; a pull asks the table for 20 ms at most
// (--mirror-resolve-timeout) and goes to the registry where nobody is found. Here
// the table is instantly right, a look-up takes three hops, and a holder is drawn
// among all.
type pull struct {
	*sim
	plain
	next    []int // of each host: the first layer not asked for
	peers   bool  // layers are looked for at peers
	holders [][]*host
}

const (
	pullStreams   = 3
	pullResolve   = 20 * time.Millisecond
	pullTableHops = 3
)

func newRegistry(s *sim) protocol { return &pull{sim: s, next: make([]int, len(s.hosts))} }

func newSpegel(s *sim) protocol {
	return &pull{sim: s, next: make([]int, len(s.hosts)), peers: true, holders: make([][]*host, len(s.Sizes))}
}

func (p *pull) start(h *host) {
	for len(h.coming) < pullStreams && p.next[h.i] < len(p.Sizes) {
		x := h.await(p.next[h.i])
		p.next[h.i]++
		p.find(x)
	}
}

func (p *pull) find(x *arrival) {
	if !p.peers {
		p.readOrigin(x)
		return
	}
	var from []*host
	for _, h := range p.holders[x.block] {
		if !h.knownDead {
			from = append(from, h)
		}
	}
	p.messages += pullTableHops
	x.ask++
	ask := x.ask
	then := func(d time.Duration, do func()) {
		p.after(d, func() {
			if x.waits(ask) {
				do()
			}
		})
	}
	if len(from) == 0 {
		then(pullResolve, func() { p.readOrigin(x) })
		return
	}
	holder := from[p.rng.IntN(len(from))]
	x.asked = holder
	then(pullTableHops*p.Hop, func() { p.askFor(x, holder) })
}

func (p *pull) got(x *arrival) {
	if p.peers {
		p.holders[x.block] = append(p.holders[x.block], x.host)
	}
	p.start(x.host)
}

func (p *pull) lost(x *arrival) { p.find(x) }
