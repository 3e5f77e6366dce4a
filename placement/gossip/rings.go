package gossip

import (
	"slices"
	"time"

	"github.com/zonecache/cached/placement"
)

// settle is how long news are collected before they make a ring.
const settle = 10 * time.Millisecond

// Ring returns the zone as this node sees it now. It never waits.
func (m *Membership) Ring() *placement.Ring { return m.ring.Load() }

// changed has the run loop look at the table.
func (m *Membership) changed() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run swaps rings and calls back. Making rings takes at most half of its time:
// when a thousand nodes arrive at once, not each of them is worth a ring.
func (m *Membership) run() {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	due := time.Now().Add(settle)
	var notBefore time.Time
	for {
		select {
		case <-m.stop:
			return
		case job := <-m.jobs:
			job()
		case <-m.wake:
			soon := time.Now().Add(max(settle, time.Until(notBefore)))
			if due.IsZero() || soon.Before(due) {
				due = soon
				timer.Reset(time.Until(due))
			}
		case <-timer.C:
			due = time.Time{}
			begin := time.Now()
			m.rebuild()
			notBefore = time.Now().Add(time.Since(begin))
		}
	}
}

// rebuild swaps the ring if the members changed.
func (m *Membership) rebuild() {
	members, news := m.table.ring()
	if len(news) > 0 {
		m.opt.Logger.Info("gossip: the zone changed", "news", news, "members", len(members))
	}
	was := m.ring.Load()
	if was != nil && slices.Equal(members, m.made) {
		return
	}
	ring := m.makeRing(was, members)
	m.made = members
	m.ring.Store(ring)
	m.counts.rings.Add(1)
	if m.opt.OnChange != nil {
		m.opt.OnChange(ring)
	}
}

func (m *Membership) makeRing(was *placement.Ring, members []placement.Member) *placement.Ring {
	switch {
	case m.opt.MakeRing != nil:
		return m.opt.MakeRing(members)
	case was != nil:
		return was.With(members) // a rate that changed is no reason to draw again
	}
	return placement.NewRing(members)
}
