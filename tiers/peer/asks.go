package peer

import (
	"errors"
	"sync/atomic"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A Result is what came of one ask for a block.
type Result uint8

// The results.
const (
	Served     Result = iota // the answer was the bytes; whether they are right is another matter
	Redirected               // the name of another node
	Gone                     // the asked node neither answers for the block nor has it
	Refused                  // the block does not exist or is damaged at the origin, or there is too much to do
	Stalled                  // nothing was heard for too long
	Failed                   // the node was not reached, broke off or made no sense
	Withdrawn                // the asker did not wait for the answer
)

// Results lists every result.
var Results = [...]Result{Served, Redirected, Gone, Refused, Stalled, Failed, Withdrawn}

var resultNames = [...]string{
	Served: "served", Redirected: "redirected", Gone: "gone", Refused: "refused", Stalled: "stalled", Failed: "failed", Withdrawn: "withdrawn",
}

// String returns the result in one word.
func (r Result) String() string { return resultNames[r] }

func resultOf(v placement.Verdict, err error) Result {
	is := func(kinds ...error) bool {
		for _, k := range kinds {
			if errors.Is(err, k) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil && v == placement.Serve:
		return Served
	case err == nil && v == placement.Redirect:
		return Redirected
	case err == nil:
		return Gone
	case is(errPassedBy, errImpatient):
		return Withdrawn
	case is(ErrStalled):
		return Stalled
	case is(block.ErrNotFound, block.ErrCorrupt, block.ErrOverloaded):
		return Refused
	case is(block.ErrUnavailable):
		return Failed
	}
	return Withdrawn
}

// asks counts asks by their result.
type asks [len(Results)]atomic.Uint64

// note counts an ask; offers are none.
func (a *asks) note(kind placement.Kind, v placement.Verdict, err error) {
	if kind != placement.Offer {
		a[resultOf(v, err)].Add(1)
	}
}

func (a *asks) counts() (n [len(Results)]uint64) {
	for i := range a {
		n[i] = a[i].Load()
	}
	return n
}
