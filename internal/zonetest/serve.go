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
	ctx, cancel := context.WithCancel(context.Background())
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
		s.push(ctx, frame{end: true, err: errRefused})
		return
	}
	answer := c.answer
	if c.trick.answer != nil {
		answer = func(ctx context.Context, id block.ID, ask placement.Ask) (peer.Answer, error) {
			return c.trick.answer(ctx, c.answer, id, ask)
		}
	}
	a, err := s.ask(ctx, answer, id, ask)
	switch {
	case err != nil:
		s.push(ctx, frame{end: true, err: kind(err)})
	case a.Verdict != placement.Serve:
		s.push(ctx, frame{head: &a.Reply})
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

// ask has the question answered and says meanwhile that this takes time.
func (s *sender) ask(ctx context.Context, answer Answerer, id block.ID, ask placement.Ask) (peer.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var a peer.Answer
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		a, err = answer(ctx, id, ask)
		if err == nil && a.Verdict == placement.Serve {
			// The head of an answer states the size.
			err = begun(ctx, a.Source)
			if err != nil {
				a.Done(0, err)
			}
		}
	}()
	tick := time.NewTicker(s.timing.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-answered:
			return a, err
		case <-tick.C:
			if s.push(ctx, frame{}) != nil {
				cancel()
			}
		case <-ctx.Done():
			<-answered
			if err == nil && a.Verdict == placement.Serve {
				a.Done(0, ctx.Err())
				a = peer.Answer{}
			}
			return a, ctx.Err()
		}
	}
}

// begun waits until the size of what arrives is known.
func begun(ctx context.Context, a *block.Arrival) error {
	for a.Size() < 0 {
		changed := a.Changed()
		if a.Ended() {
			_, err := a.Next(ctx, 0)
			return err
		}
		if a.Size() >= 0 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
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
