package zonetest

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// A transport is one process's way to the others.
type transport struct {
	net  *Network
	host *host
	dead <-chan struct{} // of this process
}

var _ peer.Transport = (*transport)(nil)

// A conn is one ask under way.
type conn struct {
	from, to *host
	call     block.Call // on whose behalf
	answer   Answerer
	fromDead <-chan struct{}
	toDead   <-chan struct{}
	trick    Trick
	frames   chan frame
	left     chan struct{} // closed when the asker has gone
}

// A frame is one message of an answer. It is one of: nothing yet, the head of
// the answer, bytes, the end.
type frame struct {
	at    time.Time
	head  *placement.Reply
	size  int    // with head: of the block
	bytes []byte // the sender keeps them until the connection is left or ended
	err   error  // with an end
	end   bool
}

// An Event is one ask that has ended.
type Event struct {
	From, To     string
	ID           block.ID
	Ask          placement.Ask
	Reply        placement.Reply
	Err          error
	Began, Ended time.Time
}

// String returns the event on one line.
func (e Event) String() string {
	return fmt.Sprintf("%s +%v %s asks %s for %s, %s hops %d lost %q stale %q from %d: %s %s depth %d, %v",
		e.Began.Format("05.000000"), e.Ended.Sub(e.Began), e.From, e.To, e.ID.Short(), e.Ask.Kind, e.Ask.Hops, e.Ask.Lost, e.Ask.Stale, e.Ask.Offset,
		e.Reply.Verdict, e.Reply.To, e.Reply.Depth, e.Err)
}

// Fetch implements [peer.Transport].
func (t *transport) Fetch(ctx context.Context, to placement.Member, id block.ID, ask placement.Ask, into *block.Arrival) (placement.Reply, error) {
	began := time.Now()
	reply, err := t.fetch(ctx, to.Name, id, ask, into)
	t.net.mu.Lock()
	trace := t.net.trace
	if err != nil {
		t.net.answers["error"]++
	} else {
		t.net.answers[reply.Verdict.String()]++
	}
	t.net.mu.Unlock()
	if trace != nil {
		trace(Event{t.host.name, to.Name, id, ask, reply, err, began, time.Now()})
	}
	if err != nil {
		return placement.Reply{}, fmt.Errorf("zonetest: %s asks %s for %s: %w", t.host.name, to.Name, id.Short(), err)
	}
	return reply, nil
}

var (
	errSelf    = fmt.Errorf("the asker's process has ended: %w", block.ErrUnavailable)
	errRefused = fmt.Errorf("%w: %w", syscall.ECONNREFUSED, block.ErrUnavailable)
	errBroken  = fmt.Errorf("connection broken: %w", block.ErrUnavailable)
	errSilent  = fmt.Errorf("%w: %w", peer.ErrStalled, block.ErrUnavailable)
)

func (t *transport) fetch(ctx context.Context, to string, id block.ID, ask placement.Ask, into *block.Arrival) (placement.Reply, error) {
	if err := ctx.Err(); err != nil {
		return placement.Reply{}, err
	}
	c, again := t.dial(to, ask.Kind)
	c.call = block.CallFrom(ctx)
	ask.Reader = t.host.name // stands in the certificate
	if again != nil {
		again.call = c.call
		t.net.serving.Go(func() { t.net.serve(again, id, ask) })
		t.net.serving.Go(again.drain)
	}
	defer close(c.left)
	t.net.serving.Go(func() { t.net.serve(c, id, ask) })
	r := receiver{transport: t, conn: c, id: id, into: into}
	return r.run(ctx, ask.Offset)
}

// dial opens a connection, and a second one when asks are delivered twice.
func (t *transport) dial(to string, kind placement.Kind) (c, again *conn) {
	n := t.net
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(to)
	n.asks[pair{t.host.name, to}]++
	n.kinds[kind]++
	open := func() *conn {
		return &conn{
			from: t.host, to: h, answer: h.answer, fromDead: t.dead, toDead: h.dead, trick: h.trick,
			frames: make(chan frame, windowChunks), left: make(chan struct{}),
		}
	}
	if n.twice {
		again = open()
	}
	return open(), again
}

// drain takes what comes and throws it away.
func (c *conn) drain() {
	defer close(c.left)
	for {
		select {
		case f := <-c.frames:
			if f.end || f.head != nil && f.head.Verdict != placement.Serve {
				return
			}
		case <-c.fromDead:
			return
		case <-c.toDead:
			return
		}
	}
}

// A receiver is the asker's end of a connection.
type receiver struct {
	*transport
	*conn
	id    block.ID
	into  *block.Arrival
	begun bool
	reply placement.Reply
}

func (r *receiver) run(ctx context.Context, offset int) (placement.Reply, error) {
	silence := time.NewTimer(r.net.timing.Silence)
	defer silence.Stop()
	toDead := r.toDead
	for {
		select {
		case f := <-r.frames:
			if err := r.wait(ctx, f); err != nil {
				return placement.Reply{}, err
			}
			done, err := r.take(f, offset)
			if done || err != nil {
				return r.reply, err
			}
			silence.Reset(r.net.timing.Silence + time.Duration(r.reply.Depth)*r.net.timing.PerDepth)
		case <-silence.C:
			return placement.Reply{}, errSilent
		case <-toDead:
			if ok, _ := r.net.reaches(r.to, r.from); !ok {
				toDead = nil // nobody says so
				continue
			}
			return placement.Reply{}, errBroken
		case <-r.dead:
			return placement.Reply{}, errSelf
		case <-ctx.Done():
			return placement.Reply{}, ctx.Err()
		}
	}
}

// wait lets the frame arrive: over the distance, and through this host's link.
func (r *receiver) wait(ctx context.Context, f frame) error {
	if err := until(ctx, f.at); err != nil {
		return err
	}
	return until(ctx, r.host.down.reserve(len(f.bytes)))
}

// take takes in one frame and reports whether it was the last that matters.
func (r *receiver) take(f frame, offset int) (done bool, err error) {
	switch {
	case f.end && f.err != nil:
		return true, f.err
	case f.end:
		return true, errBroken
	case f.head != nil:
		r.reply = *f.head
		if r.reply.Verdict != placement.Serve {
			return true, nil
		}
		if f.size > block.MaxSize {
			return true, fmt.Errorf("a block of %d bytes is stated: %w", f.size, block.ErrUnavailable)
		}
		if err := r.into.Begin(f.size); err != nil {
			return true, err
		}
		r.begun = true
		if have := r.into.Have(); have != offset {
			panic(fmt.Sprintf("zonetest: asked from byte %d on, the arrival has %d", offset, have))
		}
	case len(f.bytes) > 0:
		space := r.into.Space()
		if len(f.bytes) > len(space) {
			return true, fmt.Errorf("more bytes than were stated: %w", block.ErrUnavailable)
		}
		copy(space, f.bytes)
		if r.trick.spoil != nil {
			r.trick.spoil(space[:len(f.bytes)], r.into.Have(), r.into.Size())
		}
		r.into.Advance(len(f.bytes))
		r.net.received(r.to, len(f.bytes))
	default:
		r.into.Waiting()
	}
	return r.begun && r.into.Have() == r.into.Size(), nil
}

func (n *Network) received(from *host, bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bytes += int64(bytes)
	from.sent += int64(bytes)
}

// kind returns an error with the text of err and the kind that travels.
func kind(err error) error {
	for _, k := range []error{block.ErrNotFound, block.ErrCorrupt, block.ErrOverloaded} {
		if errors.Is(err, k) {
			return fmt.Errorf("the node says %q: %w", err.Error(), k)
		}
	}
	return fmt.Errorf("the node says %q: %w", err.Error(), block.ErrUnavailable)
}
