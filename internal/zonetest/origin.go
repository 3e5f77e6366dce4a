package zonetest

import (
	"context"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// An Origin is the object store that all nodes of a zone share. It counts what
// is read from it.
type Origin struct {
	fake *blocktest.Fake
	up   link

	mu     sync.Mutex
	delay  time.Duration
	down   error
	served int
	most   int // reads under way at once
	now    int
}

func newOrigin(blocks []block.Block, delay time.Duration, rate float64) *Origin {
	o := &Origin{fake: blocktest.NewFake(block.Origin), delay: delay}
	for _, b := range blocks {
		_ = o.fake.WriteBlock(context.Background(), b)
	}
	o.up.setRate(rate)
	o.fake.Before = o.before
	return o
}

// before lets a read take its time.
func (o *Origin) before(ctx context.Context, _ block.ID) error {
	o.mu.Lock()
	delay, down := o.delay, o.down
	o.mu.Unlock()
	if err := pause(ctx, delay); err != nil {
		return err
	}
	return down
}

// Fail makes every read that begins fail with err, until it is called with nil.
func (o *Origin) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = err
}

// Delay sets the time to the first byte.
func (o *Origin) Delay(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delay = d
}

// Reads returns how often a block was asked for.
func (o *Origin) Reads(id block.ID) int { return o.fake.Reads(id) }

// Total returns how often anything was asked for.
func (o *Origin) Total() int { return o.fake.TotalReads() }

// Served returns how many reads brought a block.
func (o *Origin) Served() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.served
}

// Busiest returns how many reads were under way at once.
func (o *Origin) Busiest() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.most
}

// read reads a block for a process, through its host's link.
func (o *Origin) read(ctx context.Context, p *process, id block.ID) (block.Block, error) {
	select {
	case <-p.dead:
		return block.Block{}, errSelf
	default:
	}
	// A host that is behind a partition reaches the origin, one without power
	// reaches nothing.
	if err := p.zone.net.pass(ctx, p.host, p.host); err != nil {
		return block.Block{}, err
	}
	o.enter()
	defer o.exit()
	b, err := o.fake.ReadBlock(ctx, id)
	if err != nil {
		return block.Block{}, err
	}
	if err := o.transfer(ctx, p.host, b.Len()); err != nil {
		b.Release()
		return block.Block{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.served++
	return b, nil
}

func (o *Origin) transfer(ctx context.Context, to *host, size int) error {
	var arrived time.Time
	for size > 0 {
		n := min(size, chunkSize)
		if err := until(ctx, o.up.reserve(n)); err != nil {
			return err
		}
		// One chunk may be in line at the host's link, so that it is shared fairly.
		if err := until(ctx, arrived); err != nil {
			return err
		}
		arrived = to.down.reserve(n)
		size -= n
	}
	return until(ctx, arrived)
}

func (o *Origin) enter() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now++
	o.most = max(o.most, o.now)
}

func (o *Origin) exit() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now--
}

func (o *Origin) close() { _ = o.fake.Close() }
