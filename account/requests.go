package account

import (
	"context"

	"github.com/zonecache/cached/block"
)

// Requests wraps what the users of the node read from. Each read is one
// request; it is in flight until next returned, then accounted once.
func (l *Ledger) Requests(next block.Reader) block.Reader { return &requests{ledger: l, next: next} }

type requests struct {
	ledger *Ledger
	next   block.Reader
}

func (r *requests) ReadBlock(ctx context.Context, id block.ID) (b block.Block, err error) {
	l := r.ledger
	call := block.CallFrom(ctx)
	cause, via := causeOf(call), interfaceOf(call)
	s := l.shard()
	s.started[cause].Add(1)
	began := l.clock()
	// Deferred, so that a panic that a server recovers from is accounted, too.
	defer func() {
		took := l.clock() - began
		n, to := 0, rowOf(b, err)
		if to == rowFailed {
			s.kinds[kindOf(ctx, err)][cause].Add(1)
		} else {
			n = b.Len()
		}
		s.served[via][to][cause].add(n)
		s.took[to][cause].add(took)
		l.tenants.add(call.Tenant, s.index, to, n)
		if l.trace != nil {
			l.examples.requests[to][cause].note(l.trace(ctx), took)
		}
		l.images.add(call.Image, s.index, entry{to, cause}, n)
		s.finished.Add(1)
	}()
	return r.next.ReadBlock(ctx, id)
}
