package peer

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// fetch asks one member for the bytes of the arrival that are still missing and
// keeps the books about that member. Every way of distribution stands on it. The
// caller has asked the member's breaker.
//
// Errors are those of [Transport]; block.ErrUnavailable, ErrStalled included,
// counts against the member.
func (t *Tier) fetch(ctx context.Context, to placement.Member, ask placement.Ask, into *block.Arrival) (reply placement.Reply, err error) {
	defer func() { t.stats.asked.note(ask.Kind, reply.Verdict, err) }()
	n := t.peers.get(to.Name)
	ask.Reader = t.opts.Node
	ask.Epoch = t.opts.Ring().Epoch()
	ask.Offset = into.Have()

	into.Join() // the transport may write until it returns
	defer into.Leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	into.Asked()
	limit := 2*t.opts.Silence + time.Duration(ask.Hops+1)*t.opts.PerDepth
	if t.doubts(n) {
		limit = hurried
	}
	w := newWatch(into, limit, n.alive, cancel)
	n.watched(w)
	reply, err = t.opts.Transport.Fetch(ctx, to, into.ID(), ask, into)
	n.unwatched(w)
	if err == nil {
		n.alive()
	}

	if err == nil && reply.Verdict == placement.Serve && (into.Size() < 0 || into.Have() < into.Size()) {
		err = fmt.Errorf("the answer ended after %d of %d bytes: %w", into.Have(), into.Size(), block.ErrUnavailable)
	}
	came := uint64(max(into.Have()-ask.Offset, 0))
	if err == nil {
		n.counts.receivedBytes.whole.Add(came)
	} else {
		n.counts.receivedBytes.broken.Add(came)
	}
	switch {
	case err == nil && reply.Epoch != 0 && reply.Epoch != ask.Epoch:
		t.stats.epochMismatches.Add(1)
	}
	switch {
	case err == nil && reply.Verdict == placement.Serve:
		return reply, nil // the caller verifies the bytes before it is a success
	case err == nil:
		n.breaker.answered()
		return reply, nil
	case into.Size() >= 0 && !errors.Is(err, ErrStalled) && errors.Is(err, block.ErrUnavailable):
		err = fmt.Errorf("%w: %w", errBrokeOff, err)
	}
	err = t.failed(ctx, n, w.lastSign(), err)
	if errors.Is(err, ErrStalled) && !errors.Is(err, errLives) && into.Size() < 0 && !n.lives(hurried) {
		t.fellSilent(n) // who stalls within the bytes may have lost its own source
	}
	return placement.Reply{}, err
}

// errBrokeOff marks the error of a source that had begun to answer. If it is
// dead, the next ask will show it; it may only have lost its own source.
var errBrokeOff = errors.New("broke off")

// errLives marks the stall of a node that is not dead.
var errLives = errors.New("the node lives")

// verified notes that a node has sent a right block.
func (n *neighbour) verified() {
	n.breaker.succeeded()
	n.counts.received.Add(1)
}

// failed notes that a fetch failed, which last saw a sign of life at heard, and
// returns why.
func (t *Tier) failed(ctx context.Context, n *neighbour, heard time.Time, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), ErrStalled):
		err = fmt.Errorf("%w: %w", ErrStalled, block.ErrUnavailable)
	case errors.Is(context.Cause(ctx), errImpatient):
		n.breaker.withdrawn()
		return context.Cause(ctx)
	case errors.Is(context.Cause(ctx), errPassedBy):
		return context.Cause(ctx)
	case ctx.Err() != nil: // nobody wants it any more
		n.breaker.withdrawn()
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, block.ErrUnavailable): // the transport's clock was first
		n.breaker.withdrawn()
		return err
	case errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrOverloaded):
		n.breaker.succeeded()
		return err
	case !errors.Is(err, block.ErrUnavailable): // it lives, but will not speak with us
		n.counts.failures.Add(1)
		t.distrust(n, light, "refuses", err)
		return fmt.Errorf("%w: %w", block.ErrUnavailable, err)
	}
	n.counts.failures.Add(1)
	switch {
	case errors.Is(err, ErrStalled) && (n.heard.Load() > heard.UnixNano() || t.opts.Alive(n.name)):
		// It spoke on another connection since, or says that it lives: packets were
		// lost and TCP waits to send them again, or the turn of this read has not come.
		n.counts.stalled.Add(1)
		t.distrust(n, faint, "stalled once", err)
		err = fmt.Errorf("%w: %w", errLives, err)
	case errors.Is(err, ErrStalled):
		n.counts.stalled.Add(1)
		t.distrust(n, grave, "stalled", err)
		t.opts.Suspect(n.name, "stalled")
	case errors.Is(err, errBrokeOff):
		t.distrust(n, faint, "broke off", err)
	case timedOut(err) && t.opts.Alive(n.name): // the packets that open a connection are lost like others
		t.distrust(n, faint, "failed", err)
		err = fmt.Errorf("%w: %w", errLives, err)
	default:
		t.distrust(n, light, "failed", err)
		if unreachable(err) {
			t.opts.Suspect(n.name, "failed")
		}
	}
	return err
}

// unreachable reports whether err says that nobody is there. A handshake that
// fails, an answer that makes no sense or a connection that is closed may be this
// node's own fault, as with a certificate that has expired: who then told the zone
// would name all of it dead. Whether a closed connection was a death shows when
// the next one is dialled.
func unreachable(err error) bool {
	for _, no := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN} {
		if errors.Is(err, no) {
			return true
		}
	}
	return timedOut(err)
}

func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// distrust counts a failure against a node. Once that is enough to pass it by,
// nobody waits for it any longer who has not got a first byte of it.
func (t *Tier) distrust(n *neighbour, g gravity, what string, err error) {
	if n.breaker.failed(g, err.Error(), time.Now()) {
		t.opts.Logger.Warn("peer is passed by for a while", "peer", n.name, "why", what, "error", err)
		n.mu.Lock()
		defer n.mu.Unlock()
		for w := range n.fetches {
			w.abandon(err)
		}
	}
}

func (n *neighbour) watched(w *watch) {
	n.used.Store(time.Now().UnixNano())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fetches[w] = struct{}{}
}

func (n *neighbour) unwatched(w *watch) {
	w.stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.fetches, w)
}

// mayAsk reports whether the node's breaker lets this read in.
func (t *Tier) mayAsk(node string) bool { return t.peers.get(node).breaker.enter(time.Now()) }
