package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers"
)

// How a daemon that is away is asked again: soon at first, so that a restart is
// hardly noticed, and once a second when it stays away.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 250 * time.Millisecond
	probeGap   = time.Second
	// aliveWithin is how long a daemon may take to say how it is. A read may take
	// much longer, because the origin is slow; a daemon that is silent on both
	// hangs.
	aliveWithin = time.Second
)

// A source reads stored blocks from the daemon, and from the origin while the
// daemon is away.
type source struct {
	daemon *api.Client  // nil: none
	origin block.Reader // verified; nil: none
	opts   Options
	log    *slog.Logger

	probes sync.WaitGroup
	ended  context.Context //nolint:containedctx // of probes, which no read waits for
	end    context.CancelFunc

	mu     sync.Mutex
	away   time.Time // since when the daemon has not answered; zero: it answers
	probed time.Time // when it was last asked how it is
	left   bool      // it has been away longer than the grace, and is left out
}

var _ block.Reader = (*source)(nil)

func newSource(o Options) *source {
	s := &source{daemon: o.Daemon, opts: o, log: o.Logger}
	s.ended, s.end = context.WithCancel(context.Background())
	if o.Origin != nil {
		s.origin = tiers.Verify(o.Origin)
	}
	return s
}

// close ends the probes.
func (s *source) close() {
	s.end()
	s.probes.Wait()
}

// ReadBlock implements [block.Reader] within the deadline.
func (s *source) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.opts.Deadline)
	defer cancel()
	if block.CallFrom(ctx).Cause != block.Demand {
		return s.once(ctx, id) // who comes to need the block tries harder
	}
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		b, err := s.once(ctx, id)
		if err == nil || final(err) {
			return b, err
		}
		if ctx.Err() == nil {
			last = err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			continue
		case <-ctx.Done():
			timer.Stop()
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return block.Block{}, ctx.Err()
		}
		if last == nil {
			last = err
		}
		return block.Block{}, fmt.Errorf("read %s: nobody could serve it within %s: %w: %w", id, time.Since(began).Round(time.Millisecond), block.ErrUnavailable, last)
	}
}

// final reports whether asking again is of no use.
func final(err error) bool {
	for _, kind := range []error{block.ErrNotFound, block.ErrCorrupt, block.ErrDenied, block.ErrUnauthenticated} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// once asks the daemon unless it is to be left out, then the origin if the daemon
// failed in a way that the origin may mend.
func (s *source) once(ctx context.Context, id block.ID) (block.Block, error) {
	err := errAway
	if s.daemon != nil && s.mayAsk() {
		var b block.Block
		b, err = s.ask(ctx, id)
		if err == nil {
			s.back()
			return b, nil
		}
		if ctx.Err() != nil {
			return block.Block{}, err
		}
	}
	if s.origin == nil || !s.fallBack(err) {
		return block.Block{}, err
	}
	// Nothing but what a program waits for: nobody shares these reads.
	if block.CallFrom(ctx).Cause != block.Demand {
		return block.Block{}, fmt.Errorf("read %s ahead: %w", id.Short(), err)
	}
	b, direct := s.origin.ReadBlock(ctx, id)
	if direct == nil || final(direct) {
		return b, direct
	}
	return block.Block{}, errors.Join(err, direct)
}

var errAway = fmt.Errorf("the daemon is away: %w", block.ErrUnavailable)

// ask reads from the daemon, and gives up when it does not even say how it is.
func (s *source) ask(ctx context.Context, id block.ID) (block.Block, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(s.opts.Grace, func() { s.watch(ctx, cancel) })
	defer watch.Stop()
	b, err := s.daemon.ReadBlock(ctx, id)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errAway) {
		err = cause
	}
	if errors.Is(err, block.ErrUnavailable) && !api.Answered(err) {
		s.failed(began)
	}
	return b, err
}

// watch asks the daemon how it is while a read takes long, and ends the read when
// it does not answer.
func (s *source) watch(ctx context.Context, giveUp context.CancelCauseFunc) {
	for ctx.Err() == nil {
		probe, cancel := context.WithTimeout(ctx, aliveWithin)
		err := s.daemon.Alive(probe)
		cancel()
		if err != nil {
			giveUp(fmt.Errorf("%s hangs: %w", s.daemon.URL(), errAway))
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(probeGap):
		}
	}
}

// mayAsk reports whether the daemon is asked. One that has been left out is asked
// how it is from time to time, by nobody who waits for a block.
func (s *source) mayAsk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left || s.origin == nil {
		return true
	}
	if now := time.Now(); now.Sub(s.probed) >= probeGap && s.ended.Err() == nil {
		s.probed = now
		s.probes.Go(func() {
			ctx, cancel := context.WithTimeout(s.ended, aliveWithin)
			defer cancel()
			if s.daemon.Alive(ctx) == nil {
				s.back()
			}
		})
	}
	return false
}

// failed notes that the daemon did not answer what it was asked at began.
func (s *source) failed(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.away.IsZero() {
		s.away = began
	}
	if !s.left && now.Sub(s.away) >= s.opts.Grace {
		s.left, s.probed = true, now
		s.log.Warn("the daemon is away", "server", s.daemon.URL(), "for", now.Sub(s.away).Round(time.Millisecond), "origin", s.origin != nil)
	}
}

// back notes that the daemon answered.
func (s *source) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away.IsZero() {
		return
	}
	if s.left {
		s.log.Info("the daemon is back", "server", s.daemon.URL(), "after", time.Since(s.away).Round(time.Millisecond))
	}
	s.away, s.left = time.Time{}, false
}

// fallBack reports whether the origin may be asked after err.
func (s *source) fallBack(err error) bool {
	switch {
	case s.daemon == nil:
		return true
	case errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrUnavailable) && api.Answered(err):
		return true // the daemon says so of its origin, or its bytes are wrong
	case !errors.Is(err, block.ErrUnavailable):
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}
