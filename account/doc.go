// Package account is the ledger: it counts who asked for blocks, who served
// them and what each medium was asked, and can show that its books balance.
//
// Everything is measured by decoration. [Ledger.Requests] wraps what the node's
// users read from and counts each request once, by the tier that served it or
// the kind of error, and by cause, in blocks and bytes, in total and by image.
// [Ledger.Reader] and [Ledger.Store] wrap one medium and count what it was asked
// and how it answered. [Ledger.Integrity] wraps a reader that checks what it
// returns. No tier counts anything but its size.
//
// A request costs a handful of uncontended atomic adds, two looks at the
// monotonic clock, no allocation and no lock: counters are sharded, and each
// core mostly stays on its shard.
//
// [Ledger.Snapshot] may be taken at any time. It loads the count of finished
// requests first and of started ones last, so that every request it may have
// caught halfway is among the difference, [Requests.InFlight]. Up to that many
// requests the identities of [Snapshot.Check] may be off; with nothing in
// flight they hold exactly:
//
//	started = served by L1 + L2 + L3 + L4 + errors, for each cause
//	errors  = the sum over their kinds, for each cause
//	totals  = the sum over interfaces, = the sum over tenants, = the reads that were timed
//	totals  = the sum over images and [Snapshot.Other], in blocks and bytes, by tier and cause
//	prefetched = the sum over images, and no more than what L1 and L2 served
//	reads of a medium = the sum over their outcomes
//
// Images are named by callers, so their number is bounded: the books of those
// least recently used are summed up in [Snapshot.Other].
//
// [Ledger.Collector] shows the ledger to Prometheus, for a registry of the
// caller's. No id or image is ever a label, and no tenant but those it was told of.
//
// All methods may be called at the same time. The ledger owns no goroutine and
// keeps no block.
package account
