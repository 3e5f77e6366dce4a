package account

import (
	"slices"
	"strings"

	"github.com/zonecache/cached/block"
)

// Snapshot returns what the ledger knows. Requests may go on meanwhile; see the
// package documentation for what that means.
func (l *Ledger) Snapshot() Snapshot { return l.snapshot(withImages) }

type detail int

const (
	withImages detail = iota
	withoutImages
)

func (l *Ledger) snapshot(d detail) Snapshot {
	s := Snapshot{Since: l.since, Images: []Image{}}
	// Finished before everything, started after everything: a request caught
	// halfway is in the difference.
	for i := range l.shards {
		s.Requests.Finished += l.shards[i].finished.Load()
	}
	s.Tenants = l.tenants.take()
	l.takeRequests(&s.Requests)
	s.Tenants = l.tenants.orAll(s.Tenants, s.Requests)
	if d == withImages {
		l.takeImages(&s)
	}
	l.takeStarted(&s.Requests)
	s.Origin = l.takeOrigin()
	s.Tiers = l.takeMedia()
	s.Origin.Reads = s.Tiers[len(s.Tiers)-1].Hits
	return s
}

func (l *Ledger) takeRequests(r *Requests) {
	r.Interfaces = make([]InterfaceServed, interfaceCount)
	var unnamed Latency
	for i := range l.shards {
		s := &l.shards[i]
		r.Prefetched = r.Prefetched.Plus(s.ahead.count())
		for k := range kindCount {
			for _, cause := range block.Causes {
				*r.Errors.Of(cause).of(k) += s.kinds[k][cause].Load()
			}
		}
		for to := range row(rowCount) {
			for _, cause := range block.Causes {
				latency := r.Latency.Of(cause).of(to)
				if latency == nil {
					latency = &unnamed
				}
				r.Timed += s.took[to][cause].addTo(latency)
			}
			for _, via := range block.Interfaces {
				for _, cause := range block.Causes {
					addRow(r.Interfaces[via].Served.Of(cause), to, s.served[via][to][cause].count())
				}
			}
		}
	}
	for _, via := range block.Interfaces {
		of := &r.Interfaces[via]
		of.Interface = via.String()
		for _, cause := range block.Causes {
			*r.Served.Of(cause) = r.Served.Of(cause).Plus(*of.Served.Of(cause))
		}
	}
}

func (l *Ledger) takeStarted(r *Requests) {
	total := int64(0)
	for i := range l.shards {
		for _, cause := range block.Causes {
			n := l.shards[i].started[cause].Load()
			*r.Started.Of(cause) += n
			total += n
		}
	}
	r.InFlight = total - r.Finished
}

func addRow(s *Served, to row, n Count) {
	if to == rowFailed {
		s.Errors += n.Blocks
		return
	}
	t := s.Tier(block.Tier(to))
	*t = t.Plus(n)
}

func (l *Ledger) takeImages(s *Snapshot) {
	l.images.mu.Lock()
	defer l.images.mu.Unlock()
	for _, b := range l.images.clock {
		s.Images = append(s.Images, takeBook(b))
	}
	s.Other = takeBook(l.images.other)
	s.Retired = l.images.retired
	slices.SortFunc(s.Images, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
}

func takeBook(b *book) Image {
	i := Image{Name: b.name}
	for s := range b.shards {
		i.Prefetched = i.Prefetched.Plus(b.shards[s].ahead.count())
		for to := range b.shards[s].cells {
			for cause := range b.shards[s].cells[to] {
				addRow(i.Served.Of(block.Cause(cause)), row(to), b.shards[s].cells[to][cause].count())
			}
		}
	}
	return i
}

func (l *Ledger) takeMedia() []Medium {
	all := make([]Medium, len(block.Tiers))
	for i, t := range block.Tiers {
		m := &all[i]
		m.Tier = t.String()
		finished := int64(0)
		for s := range l.shards {
			finished += l.shards[s].media[t].finished.Load()
		}
		for s := range l.shards {
			from := &l.shards[s].media[t]
			m.Hits = m.Hits.Plus(Count{from.took.addTo(&m.Latency), from.bytes.Load()})
			for k := range kindCount {
				*m.Failures.of(k) += from.failures[k].Load()
			}
			m.Offers = m.Offers.Plus(Count{from.offers.Load(), from.offerBytes.Load()})
			m.OfferErrors += from.offerErrors.Load()
		}
		for s := range l.shards {
			m.Started += l.shards[s].media[t].started.Load()
		}
		m.InFlight = m.Started - finished
		m.Damaged = m.Failures.Corrupt
		if d := &l.damage[t]; d.watched.Load() {
			m.Damaged = d.found.Load()
		}
	}
	return all
}

// takeOrigin comes before takeMedia: a read is counted before its block, so that
// there are never more distinct blocks than reads.
func (l *Ledger) takeOrigin() Origin {
	o := Origin{
		OwnedBlocks:       l.distinct.owned.Load(), // before all of them
		DistinctBlocks:    l.distinct.size.Load(),
		DistinctSaturated: l.distinct.saturated.Load(),
	}
	for _, op := range l.ops {
		o.Requests = append(o.Requests, Operation{op.name, op.requests.Load(), op.bytes.Load()})
	}
	return o
}
