package peer

import (
	"context"

	"github.com/zonecache/cached/block"
)

// readLocal starts a reception of a block this node answers for, on behalf of
// the peers that ask for it. It is nil when this node cannot read by itself.
func (t *Tier) readLocal(ctx context.Context, id block.ID) *reception {
	local := t.local.Load()
	if local == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &reception{id: id, way: fromLocal, cancel: cancel, done: make(chan struct{}), arrival: block.NewArrival(id, t.opts.Pool)}
	stop := context.AfterFunc(t.ending, cancel)
	run := func() {
		defer cancel()
		defer stop()
		b, err := (*local).ReadBlock(ctx, id)
		if err == nil {
			t.arrivals.adopt(b)
			t.arrivals.replace(r, block.Arrived(b))
		}
		t.arrivals.ended(r, err)
	}
	if !t.begin(run) {
		stop()
		cancel()
		return nil
	}
	return r
}
