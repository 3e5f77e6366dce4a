package zonetest

import (
	"context"
	"errors"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// serve is the asked node's end of a connection.
func (n *Network) serve(c *conn, id block.ID, ask placement.Ask) {
	ctx, cancel := context.WithCancel(block.WithCall(context.Background(), c.call))
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		n.watch(ctx, c)
		cancel()
	}()
	defer func() {
		cancel()
		<-watched
	}()
	s := sender{Network: n, conn: c}
	// The ask's own way.
	d, _ := n.delay(c.from, c.to)
	if n.pass(ctx, c.from, c.to) != nil || pause(ctx, d) != nil {
		return
	}
	if c.answer == nil {
		_ = s.push(ctx, frame{end: true, err: errRefused})
		return
	}
	a, err := c.reply(ctx, id, ask, func() error { return s.push(ctx, frame{}) })
	switch {
	case err != nil:
		_ = s.push(ctx, frame{end: true, err: kind(err)})
	case a.Verdict != placement.Serve:
		_ = s.push(ctx, frame{head: &a.Reply})
	default:
		s.send(ctx, a, ask.Offset)
	}
}

// watch returns when the asked node notices that the connection has ended.
func (n *Network) watch(ctx context.Context, c *conn) {
	select {
	case <-c.left:
	case <-c.fromDead:
	case <-c.toDead:
		return
	case <-ctx.Done():
		return
	}
	// A host without power and one behind a partition close nothing.
	select {
	case <-c.toDead:
	case <-passed(ctx, n, c.from, c.to):
	}
}

func passed(ctx context.Context, n *Network, from, to *host) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.pass(ctx, from, to)
	}()
	return done
}

// reply is what the asked node makes of the ask, or its trick.
func (c *conn) reply(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (peer.Answer, error) {
	if c.trick.answer != nil {
		return c.trick.answer(ctx, c.answer, Question{id, ask, queued})
	}
	return c.answer(ctx, id, ask, queued)
}

type sender struct {
	*Network
	*conn
	mark time.Time // when the previous frame arrives: frames do not overtake
}

var errGivenUp = errors.New("zonetest: the message cannot be delivered")

// push sends one frame and returns once it is on its way.
func (s *sender) push(ctx context.Context, f frame) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timing.GiveUp, errGivenUp)
	defer cancel()
	if s.pass(ctx, s.to, s.from) != nil {
		return context.Cause(ctx)
	}
	d, between := s.delay(s.to, s.from)
	if err := until(ctx, s.to.up.reserve(len(f.bytes))); err != nil {
		return context.Cause(ctx)
	}
	if between != nil {
		if err := until(ctx, between.reserve(len(f.bytes))); err != nil {
			return context.Cause(ctx)
		}
	}
	f.at = time.Now().Add(d)
	if f.at.Before(s.mark) {
		f.at = s.mark
	}
	s.mark = f.at
	select {
	case s.frames <- f:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send sends the head and the bytes of a block.
func (s *sender) send(ctx context.Context, a peer.Answer, offset int) {
	// Bytes may be under way when Done gives the sender's reference back.
	source := a.Source.Join()
	sent, err := s.stream(ctx, source, a, offset)
	a.Done(sent, err)
	if err != nil {
		_ = s.push(ctx, frame{end: true, err: errBroken})
	}
	<-s.left // the asker leaves when it has everything, or has given up
	source.Leave()
}

func (s *sender) stream(ctx context.Context, source *block.Arrival, a peer.Answer, offset int) (sent int, err error) {
	size := source.Size()
	states, stop := size, size
	if s.trick.state != nil {
		states = s.trick.state(size)
		stop = states
	}
	if s.trick.stop != nil {
		stop = s.trick.stop(size)
	}
	if err := s.push(ctx, frame{head: &a.Reply, size: states}); err != nil {
		return 0, err
	}
	for at := offset; at < stop; {
		p, err := source.Next(ctx, min(at, size))
		if err != nil {
			return sent, err
		}
		if at >= size {
			p = junk[:]
		}
		p = p[:min(len(p), chunkSize, stop-at)]
		if err := s.push(ctx, frame{bytes: p}); err != nil {
			return sent, err
		}
		at += len(p)
		sent += len(p)
	}
	if s.trick.mute {
		<-ctx.Done()
		return sent, ctx.Err()
	}
	if stop < states {
		return sent, errBroken
	}
	return sent, nil
}

var junk [chunkSize]byte
