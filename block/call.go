package block

import (
	"context"
	"fmt"
	"time"
)

// A Cause says why a block is read. Hits of different causes are never mixed
// in the ledger.
type Cause uint8

// The causes, by falling priority.
const (
	Demand   Cause = iota // a program waits for it
	Prefetch              // a start is expected to want it
	Repair                // a damaged or missing copy is replaced, or an image prepared
)

// Causes lists every cause.
var Causes = [...]Cause{Demand, Prefetch, Repair}

var causeNames = [...]string{Demand: "demand", Prefetch: "prefetch", Repair: "repair"}

// String returns "demand", "prefetch" or "repair".
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return fmt.Sprintf("cause(%d)", uint8(c))
}

// ParseCause reads what [Cause.String] wrote; the empty string is Demand.
func ParseCause(s string) (Cause, error) {
	if s == "" {
		return Demand, nil
	}
	for _, c := range Causes {
		if c.String() == s {
			return c, nil
		}
	}
	return Demand, fmt.Errorf("cause %.20q: want demand, prefetch or repair", s)
}

// A Call describes on whose behalf a block is read. It is the only value this
// project carries in a context.
type Call struct {
	Image    string // name or manifest id, as the caller gave it
	Workload string // entrypoint or function within the image
	Tenant   string
	Cause    Cause
	Hops     uint8     // how many nodes have passed the read on
	Via      Interface // how the read came into this daemon
	// Bytes is how long the block is, where the reader knows; 0: not known. It is a
	// hint to those who decide what may be under way at a time.
	Bytes int
	// Until is when the reader gives up; the zero time means that it does not say.
	// It is a hint to whoever reads on the reader's behalf after its context was
	// left behind, as a shared read does.
	Until time.Time
	// Urgency is set where a read is shared: somebody may wait for it later than it
	// began. nil: nobody will.
	Urgency *Urgency
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallFrom returns the Call ctx carries, or the zero Call (a demand read for
// nobody in particular).
func CallFrom(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}

// Deadline returns when a read in ctx had better be over: the earlier of the
// context's own deadline and the call's Until.
func Deadline(ctx context.Context) (time.Time, bool) {
	until := CallFrom(ctx).Until
	own, ok := ctx.Deadline()
	switch {
	case !ok:
		return until, !until.IsZero()
	case !until.IsZero() && until.Before(own):
		return until, true
	}
	return own, true
}
