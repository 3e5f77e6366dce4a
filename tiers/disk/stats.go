package disk

import "sync/atomic"

// Stats counts since Open what only the tier can see; hits and misses are
// counted by whoever wraps it.
type Stats struct {
	DeclinedFull   int64 // offers declined because too much was on its way
	DeclinedSick   int64 // offers declined because the disk refuses writes
	DeclinedBudget int64 // offers declined because the write budget is spent

	Corrupt     int64 // reads that found other bytes than the index promised
	ReadErrors  int64 // reads the disk or the index failed
	WriteErrors int64 // writes, syncs, creations the disk refused
	Lost        int64 // blocks given up: accepted but refused by the disk, or in a missing segment

	Evicted        int64 // blocks
	EvictedBytes   int64
	BytesWritten   int64 // to segments, padding and rewritten blocks included
	BytesRewritten int64 // of these, hot blocks moved to the main log

	Sick     error // why writes are declined, or nil
	ReadOnly bool
}

type counters struct {
	declinedFull, declinedSick, declinedBudget atomic.Int64
	corrupt, readErrors, writeErrors, lost     atomic.Int64
	evicted, evictedBytes                      atomic.Int64
	bytesWritten, bytesRewritten               atomic.Int64
}

// Stats returns the counters.
func (t *Tier) Stats() Stats {
	c := &t.counters
	return Stats{
		DeclinedFull:   c.declinedFull.Load(),
		DeclinedSick:   c.declinedSick.Load(),
		DeclinedBudget: c.declinedBudget.Load(),
		Corrupt:        c.corrupt.Load(),
		ReadErrors:     c.readErrors.Load(),
		WriteErrors:    c.writeErrors.Load(),
		Lost:           c.lost.Load(),
		Evicted:        c.evicted.Load(),
		EvictedBytes:   c.evictedBytes.Load(),
		BytesWritten:   c.bytesWritten.Load(),
		BytesRewritten: c.bytesRewritten.Load(),
		Sick:           t.health.why(),
		ReadOnly:       t.readOnly,
	}
}
