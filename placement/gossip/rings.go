package gossip

import (
	"slices"
	"time"

	"github.com/zonecache/cached/placement"
)

// settle is how long news are collected before they make a ring.
const settle = 10 * time.Millisecond

// madeRing is what the last ring was made of, and when; the run loop's alone.
type madeRing struct {
	members []placement.Member
	at      time.Time
}

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
			wait := m.rebuild()
			notBefore = time.Now().Add(time.Since(begin))
			if wait > 0 {
				due = time.Now().Add(wait)
				timer.Reset(wait)
			}
		}
	}
}

// rebuild swaps the ring if the members changed. Where only rates and versions
// did, it is not worth the tens of milliseconds yet, and rebuild returns how long
// to wait.
func (m *Membership) rebuild() time.Duration {
	members, news := m.table.ring()
	if len(news) > 0 {
		m.opt.Logger.Info("gossip: the zone changed", "news", news, "members", len(members))
	}
	if m.ring.Load() != nil {
		if slices.Equal(members, m.made.members) {
			return 0
		}
		wait := m.opt.Timing.Publish - time.Since(m.made.at)
		if wait > 0 && slices.EqualFunc(members, m.made.members, sameOwner) {
			return wait
		}
	}
	ring := m.opt.MakeRing(members)
	m.made = madeRing{members: members, at: time.Now()}
	m.ring.Store(ring)
	m.counts.rings.Add(1)
	if m.opt.OnChange != nil {
		m.opt.OnChange(ring)
	}
	return 0
}

// sameOwner says whether two members own the same blocks at the same address.
func sameOwner(a, b placement.Member) bool {
	a.Rate, a.Version = b.Rate, b.Version
	return a == b
}
