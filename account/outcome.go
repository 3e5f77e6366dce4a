package account

import (
	"context"
	"errors"

	"github.com/zonecache/cached/block"
)

// A kind is how a read failed.
type kind uint8

const (
	notFound kind = iota
	corrupt
	unavailable
	overloaded
	canceled // the caller went away or its deadline passed
	other    // outside of the contract of block.Reader
	kindCount
)

var kindNames = [kindCount]string{"not_found", "corrupt", "unavailable", "overloaded", "canceled", "other"}

// kindOf files an error under one kind. One that matches several, such as a
// failed primary joined with a failed fallback, goes to the one that says most:
// damage before overload before absence of an answer, and "no such block" only
// where nothing else is the matter.
func kindOf(ctx context.Context, err error) kind {
	if err == nil {
		return other // neither a block nor an error, or a panic
	}
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if ended && ctx.Err() != nil {
		return canceled
	}
	switch {
	case errors.Is(err, block.ErrCorrupt):
		return corrupt
	case errors.Is(err, block.ErrOverloaded):
		return overloaded
	case errors.Is(err, block.ErrUnavailable):
		return unavailable
	case errors.Is(err, block.ErrNotFound):
		return notFound
	case ended:
		return canceled
	}
	return other
}

// A row of the books: the tier that served, or failure.
type row uint8

const (
	rowCount   = len(block.Tiers) + 2
	rowFailed  = row(rowCount - 1)
	rowUnnamed = row(block.Unknown) // served, but nobody says by whom
)

// rowOf returns the row of a read's result.
func rowOf(b block.Block, err error) row {
	switch {
	case err != nil || b.IsZero():
		return rowFailed
	case row(b.From) >= rowFailed:
		return rowUnnamed
	}
	return row(b.From)
}

const (
	causeCount     = len(block.Causes)
	interfaceCount = len(block.Interfaces)
)

// interfaceOf returns the call's interface; one that does not exist counts as none.
func interfaceOf(c block.Call) block.Interface {
	if int(c.Via) >= interfaceCount {
		return block.ViaNode
	}
	return c.Via
}

// causeOf returns the call's cause; one that does not exist counts as demand.
func causeOf(c block.Call) block.Cause {
	if int(c.Cause) >= causeCount {
		return block.Demand
	}
	return c.Cause
}
