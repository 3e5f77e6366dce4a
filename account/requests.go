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
	if cause == block.Prefetch {
		l.brought.asked(id, began)
	}
	// Deferred, so that a panic that a server recovers from is accounted, too.
	defer func() {
		now := l.clock()
		took := now - began
		n, to, ahead := 0, rowOf(b, err), false
		if to == rowFailed {
			s.kinds[kindOf(ctx, err)][cause].Add(1)
		} else {
			n = b.Len()
			// Who waited for the origin takes the mark, too: the next one has a hit.
			ahead = cause == block.Demand && l.brought.take(id, now) && (b.From == block.Memory || b.From == block.Disk)
		}
		if cause == block.Prefetch {
			l.brought.ended(id)
		}
		if ahead {
			s.ahead.add(n)
		}
		s.served[via][to][cause].add(n)
		s.took[to][cause].add(took)
		l.tenants.add(call.Tenant, s.index, to, n)
		if l.trace != nil {
			l.examples.requests[to][cause].note(l.trace(ctx), took)
		}
		l.images.add(call.Image, s.index, entry{to, cause, ahead}, n)
		s.finished.Add(1)
	}()
	return r.next.ReadBlock(ctx, id)
}
