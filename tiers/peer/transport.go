package peer

import (
	"context"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// ErrStalled matches the error of a transfer whose source fell silent.
var ErrStalled = placement.ErrStalled

// A Transport carries asks to other nodes. The api's peer client is one;
// internal/zonetest has one whose faults a test scripts.
type Transport interface {
	// Fetch asks to for the block id. When the answer is placement.Serve, the bytes
	// from ask.Offset on are put into the arrival (Begin, then Advance until all
	// are there), and Fetch returns once the last has come; it neither verifies
	// nor finishes the arrival.
	//
	// While the other node lets the asker wait it says so about ten times a
	// second, and Fetch calls the arrival's Waiting each time; a node that is
	// silent for longer than it may be, before the answer or within the bytes, is
	// an error that matches ErrStalled.
	//
	// Errors: block.ErrUnavailable when the node cannot be reached, breaks off or
	// stalls (the last also matches ErrStalled). The zone is told of a node that
	// stalls, and of one that nobody reaches: the error then matches a system's
	// error like syscall.ECONNREFUSED, or has a method Timeout that says so.
	// block.ErrNotFound, block.ErrCorrupt, block.ErrOverloaded when the node says so
	// of the block or of itself; ctx's.
	Fetch(ctx context.Context, to placement.Member, id block.ID, ask placement.Ask, into *block.Arrival) (placement.Reply, error)
}

// An Answer is what a node answers to a peer's ask.
type Answer struct {
	placement.Reply
	From   block.Tier                // Serve: the tier the bytes come from
	Source *block.Arrival            // Serve: the bytes, one reference, which Done gives back; else nil
	Done   func(sent int, err error) // Serve: must be called once, when the bytes are sent or cannot be; else nil
}
