package gossip

import "sync/atomic"

// Stats are counters since Open.
type Stats struct {
	Rings           uint64 // rings made
	Joins           uint64 // nodes that came, or came back
	Leaves          uint64 // nodes that went after saying so
	Deaths          uint64 // nodes that went without a word
	ForeignZone     uint64 // messages of other zones, refused
	Conflicts       uint64 // claims to a name that another node has
	Undecryptable   uint64 // messages of nodes with other keys, or none
	Unreadable      uint64 // announcements that could not be read: the node is left out of the ring
	NoticesSent     uint64 // deaths this node was the first to find
	NoticesHeard    uint64 // deaths others found
	NoticesKept     uint64 // notices not passed on: repeated, about strangers, or too many
	SeedFailures    uint64 // tries to reach a seed, or to resolve one, that failed
	KeyReloads      uint64 // changed key files taken
	KeyErrors       uint64 // changed key files refused
	SketchesSent    uint64 // news of what this node holds
	SketchesHeard   uint64 // such news that came, again and again included
	SketchesRefused uint64 // such news, and states, that could not be read
	SketchesDropped uint64 // such news not passed on or kept, because there were too many
	SketchBytes     uint64 // sent of it in all, states included
	LogsDropped     uint64 // log lines and calls of OnDeath lost, because they came too fast
}

type counts struct {
	rings, joins, leaves, deaths, foreignZone, conflicts, undecryptable, unreadable atomic.Uint64
	noticesSent, noticesHeard, noticesKept, seedFailures, keyReloads, keyErrors     atomic.Uint64
	logsDropped                                                                     atomic.Uint64
	sketchesSent, sketchesHeard, sketchesRefused, sketchesDropped, sketchBytes      atomic.Uint64
}

// Stats returns the counters.
func (m *Membership) Stats() Stats {
	c := &m.counts
	return Stats{
		Rings: c.rings.Load(), Joins: c.joins.Load(), Leaves: c.leaves.Load(), Deaths: c.deaths.Load(),
		ForeignZone: c.foreignZone.Load(), Conflicts: c.conflicts.Load(),
		Undecryptable: c.undecryptable.Load(), Unreadable: c.unreadable.Load(),
		NoticesSent: c.noticesSent.Load(), NoticesHeard: c.noticesHeard.Load(), NoticesKept: c.noticesKept.Load(),
		SeedFailures: c.seedFailures.Load(), KeyReloads: c.keyReloads.Load(), KeyErrors: c.keyErrors.Load(),
		LogsDropped:  c.logsDropped.Load(),
		SketchesSent: c.sketchesSent.Load(), SketchesHeard: c.sketchesHeard.Load(), SketchesRefused: c.sketchesRefused.Load(),
		SketchesDropped: c.sketchesDropped.Load(), SketchBytes: c.sketchBytes.Load(),
	}
}
