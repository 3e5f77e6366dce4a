package statuspage

import "time"

// A View is everything the page shows at one moment.
type View struct {
	Node     string // its name in the zone, or where it listens
	Listen   string
	Version  string
	Now      time.Time
	Uptime   time.Duration
	NotReady []string // why
	Warnings []string

	InFlight uint64
	Sessions uint64
	Errors   uint64
	// HitRate and ByteHitRate are the shares of demand reads that made nobody read the
	// origin, since the start; Prefetched is the share of those whose block had been
	// read ahead from there just before. OriginReads are of Distinct blocks.
	HitRate, ByteHitRate  float64
	Prefetched            float64
	OriginReads, Distinct uint64
	OriginBytes           uint64
	Imbalance             string

	// Demand is what programs were served by each tier, as [History] has it.
	Demand Counts

	Served       []Served
	Tiers        []Tier
	Pinned       *Pinned // nil: no image is
	Origins      []Origin
	Zone         *Zone // nil: the node has no peers
	Ahead        Ahead
	Images       []Image
	Preparations []Preparation
}

// A Count is a number of blocks and the bytes in them.
type Count struct{ Blocks, Bytes uint64 }

// A Served is what one tier served for one cause.
type Served struct {
	Tier, Cause string
	Count
	Share float64 // of all bytes
}

// A Tier is the state of one tier.
type Tier struct {
	Name           string
	Used, Capacity uint64 // no Capacity: it is not bounded in bytes
	LookUps, Hits  uint64 // its own: a look-up that misses goes on to the next tier
	Median, P99    time.Duration
	Evictions      uint64
}

// Pinned is what pins keep on the disk.
type Pinned struct{ Images, Bytes, Limit uint64 }

// An Origin is an object store and what is wrong with it.
type Origin struct{ URL, Problem string }

// A Zone is the ring as the node sees it.
type Zone struct {
	Name, Node   string
	Epoch        string
	Distribution string
	Nodes        int // in the ring
	Peers        []Peer
	Trees        []Tree
}

// A Peer is a node of the zone, this one too.
type Peer struct {
	Name, Address, Version string
	Health, Problem        string
	Share                  float64 // of all blocks, that it owns
	Received, Sent         Count   // from it and to it
	Failures, Wrong        uint64
}

// A Tree is a Function Tree that the node has a part in.
type Tree struct{ Image, Place string }

// Ahead is what came of reading ahead.
type Ahead struct {
	Used, Late, Wasted, Pending Count
	Workloads                   []Workload
}

// A Workload is how well its last start was foreseen.
type Workload struct {
	Image, Name       string
	Starts            uint64
	Precision, Recall float64
	Off               bool
}

// An Image is who served its demand reads.
type Image struct {
	Name string
	Count
	ByTier  [tiers]uint64 // blocks
	HitRate float64
	// Prefetched is the share of reads whose block had been read ahead just before.
	Prefetched float64
	Errors     uint64
}

// A State is how far a preparation is.
type State string

// The states of preparations.
const (
	Preparing State = "PREPARING"
	Ready     State = "READY"
	Failed    State = "FAILED"
)

// A Preparation is of one image.
type Preparation struct {
	Image, Scope, Problem string
	State                 State
	Done, Total           Count
	Began                 time.Time
	Took                  time.Duration
}
