package account

import (
	"time"

	"github.com/zonecache/cached/block"
)

// A Snapshot is what a ledger knew at one moment. It travels as JSON; field
// names and order of rows are stable.
type Snapshot struct {
	Since    time.Time `json:"since"` // when counting began
	Requests Requests  `json:"requests"`
	Tiers    []Medium  `json:"tiers"`  // one for each of block.Tiers, in that order
	Origin   Origin    `json:"origin"` // requests to the object store
	Images   []Image   `json:"images"` // those with a book of their own, by name
	Other    Image     `json:"other"`  // all other images together
	Retired  int64     `json:"retired"`
	Tenants  []Tenant  `json:"tenants"` // those counted apart, and last all others
}

// Requests are the reads of the node's users.
type Requests struct {
	Started  ByCause[int64]  `json:"started"`
	Finished int64           `json:"finished"`
	InFlight int64           `json:"in_flight"` // started and not finished, and those that finished while the snapshot was taken
	Served   ByCause[Served] `json:"served"`
	Errors   ByCause[Errors] `json:"errors"` // by kind
	// Prefetched are those demand reads that L1 or L2 served only because the block had
	// been read from the origin ahead of them, just before: the first read of each. They
	// are no hits.
	Prefetched Count                   `json:"prefetched"`
	Latency    ByCause[ByRow[Latency]] `json:"latency"`
	Timed      int64                   `json:"timed"` // reads in Latency

	Interfaces []InterfaceServed `json:"interfaces"` // one for each of block.Interfaces, in that order
}

// InterfaceServed is the account of the reads that came by one interface.
type InterfaceServed struct {
	Interface string          `json:"interface"`
	Served    ByCause[Served] `json:"served"`
}

// A Tenant is the account of the reads made for one tenant, of all causes.
type Tenant struct {
	Name   string `json:"name"` // "other" for all that are not counted apart
	Served Served `json:"served"`
}

// Served says who served reads, and how many failed.
type Served struct {
	L1      Count `json:"l1"`
	L2      Count `json:"l2"`
	L3      Count `json:"l3"`
	L4      Count `json:"l4"`
	Unnamed Count `json:"unnamed,omitzero"` // by no tier: a fault of this program
	Errors  int64 `json:"errors"`
}

// A Count is a number of blocks and the bytes in them.
type Count struct {
	Blocks int64 `json:"blocks"`
	Bytes  int64 `json:"bytes"`
}

// Errors are failed reads by kind.
type Errors struct {
	NotFound    int64 `json:"not_found"`
	Corrupt     int64 `json:"corrupt"`
	Unavailable int64 `json:"unavailable"`
	Overloaded  int64 `json:"overloaded"`
	Canceled    int64 `json:"canceled"` // the caller went away, or its deadline passed
	Other       int64 `json:"other"`
}

// An Image is the account of the reads made for one image.
type Image struct {
	Name   string          `json:"name"` // as callers gave it; empty for reads for none in particular
	Served ByCause[Served] `json:"served"`

	Prefetched Count `json:"prefetched"` // as in [Requests]
}

// A Medium is the account of one tier's reads and offers, whoever caused them.
type Medium struct {
	Tier        string  `json:"tier"` // l1 to l4
	Started     int64   `json:"started"`
	InFlight    int64   `json:"in_flight"`
	Hits        Count   `json:"hits"`
	Failures    Errors  `json:"failures"` // not_found are its misses
	Offers      Count   `json:"offers"`   // blocks offered, kept or declined
	OfferErrors int64   `json:"offer_errors"`
	Damaged     int64   `json:"damaged"` // blocks from it that failed their check
	Latency     Latency `json:"latency"` // of hits
}

// Origin is the account of the object store.
type Origin struct {
	Reads             Count       `json:"reads"` // blocks read from it, the hits of l4
	DistinctBlocks    int64       `json:"distinct_blocks"`
	OwnedBlocks       int64       `json:"owned_blocks"`                 // those of them that this node owned: summed over a zone, each once
	DistinctSaturated bool        `json:"distinct_saturated,omitempty"` // there were more than are counted
	Requests          []Operation `json:"requests"`
}

// An Operation counts one kind of request to the object store.
type Operation struct {
	Op       string `json:"op"`
	Requests int64  `json:"requests"`
	Bytes    int64  `json:"bytes"` // of content moved
}

// ReadsPerBlock returns how often each distinct block was read from the origin
// on average: 1 is ideal, 0 says that nothing was read.
func (o Origin) ReadsPerBlock() float64 {
	if o.DistinctBlocks == 0 {
		return 0
	}
	return float64(o.Reads.Blocks) / float64(o.DistinctBlocks)
}

// ByCause holds a value for each cause.
type ByCause[T any] struct {
	Demand   T `json:"demand"`
	Prefetch T `json:"prefetch"`
	Repair   T `json:"repair"`
}

// Of returns the value of a cause, to be read or changed; nil if there is no
// such cause.
func (b *ByCause[T]) Of(c block.Cause) *T {
	switch c {
	case block.Demand:
		return &b.Demand
	case block.Prefetch:
		return &b.Prefetch
	case block.Repair:
		return &b.Repair
	}
	return nil
}

// ByRow holds a value for each tier and one for reads that failed.
type ByRow[T any] struct {
	L1    T `json:"l1"`
	L2    T `json:"l2"`
	L3    T `json:"l3"`
	L4    T `json:"l4"`
	Error T `json:"error"`
}

// of returns the value of a row, nil for blocks served by no tier.
func (b *ByRow[T]) of(r row) *T {
	return [rowCount]*T{nil, &b.L1, &b.L2, &b.L3, &b.L4, &b.Error}[r]
}

// Tier returns what t served.
func (s *Served) Tier(t block.Tier) *Count {
	switch t {
	case block.Memory:
		return &s.L1
	case block.Disk:
		return &s.L2
	case block.Peer:
		return &s.L3
	case block.Origin:
		return &s.L4
	}
	return &s.Unnamed
}

// Total returns what all tiers served.
func (s Served) Total() Count {
	return s.L1.Plus(s.L2).Plus(s.L3).Plus(s.L4).Plus(s.Unnamed)
}

// Requests returns the number of finished reads, failed ones included.
func (s Served) Requests() int64 { return s.Total().Blocks + s.Errors }

// Plus returns the sum of s and o.
func (s Served) Plus(o Served) Served {
	return Served{
		s.L1.Plus(o.L1), s.L2.Plus(o.L2), s.L3.Plus(o.L3), s.L4.Plus(o.L4),
		s.Unnamed.Plus(o.Unnamed), s.Errors + o.Errors,
	}
}

// Minus returns what was served between o, which is earlier, and s.
func (s Served) Minus(o Served) Served {
	return Served{
		s.L1.Minus(o.L1), s.L2.Minus(o.L2), s.L3.Minus(o.L3), s.L4.Minus(o.L4),
		s.Unnamed.Minus(o.Unnamed), s.Errors - o.Errors,
	}
}

// Plus returns the sum of c and o.
func (c Count) Plus(o Count) Count { return Count{c.Blocks + o.Blocks, c.Bytes + o.Bytes} }

// Minus returns the difference of c and o.
func (c Count) Minus(o Count) Count { return Count{c.Blocks - o.Blocks, c.Bytes - o.Bytes} }

// Total returns the sum over all causes.
func (r Requests) Total() Served {
	return r.Served.Demand.Plus(r.Served.Prefetch).Plus(r.Served.Repair)
}

// Total returns the sum over all causes.
func (i Image) Total() Served {
	return i.Served.Demand.Plus(i.Served.Prefetch).Plus(i.Served.Repair)
}

// Sum returns the sum over all kinds.
func (e Errors) Sum() int64 {
	return e.NotFound + e.Corrupt + e.Unavailable + e.Overloaded + e.Canceled + e.Other
}

func (e *Errors) of(k kind) *int64 {
	return [kindCount]*int64{&e.NotFound, &e.Corrupt, &e.Unavailable, &e.Overloaded, &e.Canceled, &e.Other}[k]
}
