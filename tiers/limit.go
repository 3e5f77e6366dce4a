package tiers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// Limit returns a Reader that lets at most n reads into next at a time. Those who
// wait are let in by cause, demand before prefetch before repair, and in order of
// arrival within a cause; a read that becomes urgent while it waits is a demand from
// then on. n must be positive.
func Limit(next block.Reader, n int) block.Reader {
	return &limit{next: next, rule: &steady{places: n}}
}

// Background returns a Reader that lets at most n reads that no program waits for
// into next at a time, as Limit does, and demand at once.
func Background(next block.Reader, n int) block.Reader {
	behind := Limit(next, n)
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if block.CallFrom(ctx).Cause == block.Demand {
			return next.ReadBlock(ctx, id)
		}
		return behind.ReadBlock(ctx, id)
	})
}

// Govern is Limit that finds its n by itself, from least to most, by how long
// reads take: many hosts that share an origin must not queue there what each
// could wait for at home, where demand goes first. See [pace].
func Govern(next block.Reader, least, most int) block.Reader {
	least = min(least, most)
	return &limit{next: next, rule: &governed{steady{max(least, min(firstPlaces, most))}, pace{least: least, most: most}}}
}

// A rule says which reads a limit lets in. The limit's lock is held.
type rule interface {
	// fits reports whether a read may come in beside those that are inside.
	fits(call block.Call, inside int) bool
	// choosy reports whether one may fit that waits behind one that does not, or may
	// come to fit though none has left.
	choosy() bool
	// came notes that a read has come in.
	came(t *turn)
	// left notes that a read is over. inside counts it still; took is 0 for one that
	// was given up before it began.
	left(t *turn, inside int, took time.Duration, err error)
}

// A steady rule has so many places.
type steady struct{ places int }

func (s *steady) fits(_ block.Call, inside int) bool            { return inside < s.places }
func (s *steady) choosy() bool                                  { return false }
func (s *steady) came(*turn)                                    {}
func (s *steady) left(_ *turn, _ int, _ time.Duration, _ error) {}

// A governed rule has as many places as its pace finds.
type governed struct {
	steady
	pace pace
}

func (g *governed) left(_ *turn, inside int, took time.Duration, err error) {
	switch {
	case took == 0:
	case err == nil:
		g.places = g.pace.took(took, inside, g.places, time.Now())
	case errors.Is(err, block.ErrUnavailable), errors.Is(err, block.ErrOverloaded):
		g.places = g.pace.failed(g.places)
	}
}

type limit struct {
	next block.Reader

	mu      sync.Mutex
	rule    rule
	inside  int
	waiting [len(block.Causes)][]*turn
}

// A turn is that of one who reads, and may wait for it.
type turn struct {
	call block.Call
	come chan struct{}
	met  company // when it came in; of a yielding rule
}

func (l *limit) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	var t turn
	if err := l.enter(ctx, &t); err != nil {
		return block.Block{}, err
	}
	began := time.Now()
	b, err := l.next.ReadBlock(ctx, id)
	l.exit(&t, max(time.Since(began), 1), err)
	return b, err
}

// enter returns when t has come, or the context's error.
func (l *limit) enter(ctx context.Context, t *turn) error {
	t.call = block.CallFrom(ctx)
	cause := min(int(t.call.Cause), len(block.Causes)-1)
	l.mu.Lock()
	if l.rule.choosy() {
		l.admitLocked() // what fits by now goes first
	}
	if l.rule.fits(t.call, l.inside) && !l.queuesLocked(cause, t.call.Image) {
		defer l.mu.Unlock()
		l.inside++
		l.rule.came(t)
		return nil
	}
	t.come = make(chan struct{})
	l.waiting[cause] = append(l.waiting[cause], t)
	l.mu.Unlock()

	select {
	case <-t.come:
		return nil
	case <-ctx.Done():
	case <-t.call.Urgency.Raised():
		l.mu.Lock()
		if l.takeOutLocked(cause, t) {
			cause, t.call.Cause = int(block.Demand), block.Demand
			l.waiting[cause] = append(l.waiting[cause], t)
			l.admitLocked()
		}
		l.mu.Unlock()
		select {
		case <-t.come:
			return nil
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	gone := l.takeOutLocked(cause, t)
	l.mu.Unlock()
	if !gone {
		l.exit(t, 0, ctx.Err()) // our turn came at the same moment: pass it on
	}
	return ctx.Err()
}

// takeOutLocked ends a wait; false when its turn has come.
func (l *limit) takeOutLocked(cause int, t *turn) bool {
	i := slices.Index(l.waiting[cause], t)
	if i < 0 {
		return false
	}
	l.waiting[cause] = slices.Delete(l.waiting[cause], i, i+1)
	return true
}

// exit gives a place back, and lets in those who fit then.
func (l *limit) exit(t *turn, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rule.left(t, l.inside, took, err)
	l.inside--
	l.admitLocked()
}

// queuesLocked reports whether a read of the image waits: others of it and of its cause
// do not pass it, however short they are.
func (l *limit) queuesLocked(cause int, image string) bool {
	return slices.ContainsFunc(l.waiting[cause], func(t *turn) bool { return t.call.Image == image })
}

// admitLocked lets in whoever fits, in order.
func (l *limit) admitLocked() {
	for cause := range l.waiting {
		var stay []string // images of those who do not fit
		at := 0
		for at < len(l.waiting[cause]) {
			t := l.waiting[cause][at]
			switch {
			case slices.Contains(stay, t.call.Image):
				at++
				continue
			case l.rule.fits(t.call, l.inside):
				l.waiting[cause] = slices.Delete(l.waiting[cause], at, at+1)
				l.inside++
				l.rule.came(t)
				close(t.come)
				continue
			case !l.rule.choosy():
				return
			}
			stay = append(stay, t.call.Image)
			at++
		}
	}
}
