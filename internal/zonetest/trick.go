package zonetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// A Trick is what a host does wrong to those who ask it. The zero Trick is
// honest.
type Trick struct {
	name   string
	answer func(ctx context.Context, honest Answerer, q Question) (peer.Answer, error)
	spoil  func(p []byte, offset, size int) // changes the bytes of a block as they arrive
	state  func(size int) int               // the size it states
	stop   func(size int) int               // bytes after which it stops
	mute   bool                             // stopped, it falls silent instead of breaking off
}

// A Question is what an Answerer is asked.
type Question struct {
	ID     block.ID
	Ask    placement.Ask
	Queued func() error // tells the asker to wait
}

// String returns the trick's name.
func (t Trick) String() string {
	if t.name == "" {
		return "honest"
	}
	return t.name
}

// The tricks with the bytes of a block.
var (
	// Lie sends wrong bytes, as many as there should be.
	Lie = Trick{name: "lie", spoil: func(p []byte, _, _ int) {
		for i := range p {
			p[i] ^= 0x55
		}
	}}
	// LieInTheEnd sends one wrong byte, the last.
	LieInTheEnd = Trick{name: "lie in the end", spoil: func(p []byte, offset, size int) {
		if offset+len(p) == size && len(p) > 0 {
			p[len(p)-1] ^= 1
		}
	}}
	// LieEarly sends one wrong byte, the first: whoever passes bytes on before
	// they are verified passes it on.
	LieEarly = Trick{name: "lie early", spoil: func(p []byte, offset, _ int) {
		if offset == 0 && len(p) > 0 {
			p[0] ^= 1
		}
	}}
	// Truncate breaks off in the middle of the bytes.
	Truncate = Trick{name: "truncate", stop: func(size int) int { return size / 2 }}
	// FallSilent stops in the middle of the bytes and leaves the connection open.
	FallSilent = Trick{name: "fall silent", stop: func(size int) int { return size / 2 }, mute: true}
	// BreakLate breaks off before the last byte.
	BreakLate = Trick{name: "break late", stop: func(size int) int { return size - 1 }}
	// Short states half the size, and sends as much.
	Short = Trick{name: "short", state: func(size int) int { return size / 2 }}
	// Empty answers with no bytes at all.
	Empty = Trick{name: "empty", state: func(int) int { return 0 }}
	// Endless sends as much as it is let.
	Endless = Trick{name: "endless", state: func(int) int { return block.MaxSize }}
	// TooLarge states more than a block can have.
	TooLarge = Trick{name: "too large", state: func(int) int { return block.MaxSize + 1 }}
)

// The tricks without bytes.
var (
	// AlwaysGone holds nothing and owns nothing.
	AlwaysGone = answering("gone", func(placement.Ask) (peer.Answer, error) {
		return peer.Answer{Reply: placement.Reply{Verdict: placement.Gone}}, nil
	})
	// AlwaysNotFound says that no such block exists.
	AlwaysNotFound = refusing("not found", block.ErrNotFound)
	// AlwaysCorrupt says that its block is damaged.
	AlwaysCorrupt = refusing("corrupt", block.ErrCorrupt)
	// AlwaysBusy has too much to do.
	AlwaysBusy = refusing("busy", block.ErrOverloaded)
	// AlwaysFails fails for reasons of its own.
	AlwaysFails = refusing("fail", errors.New("something went wrong inside"))
	// AlwaysWait says again and again that the asker should wait.
	AlwaysWait = Trick{name: "wait", answer: func(ctx context.Context, _ Answerer, q Question) (peer.Answer, error) {
		for {
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return peer.Answer{}, err
			}
			if err := q.Queued(); err != nil {
				return peer.Answer{}, err
			}
		}
	}}
	// AlwaysSilent takes the question and says nothing.
	AlwaysSilent = Trick{name: "silent", answer: func(ctx context.Context, _ Answerer, _ Question) (peer.Answer, error) {
		<-ctx.Done()
		return peer.Answer{}, ctx.Err()
	}}
)

// RedirectTo redirects every ask to one node, whether it exists or not.
func RedirectTo(name string) Trick {
	return answering("redirect to "+name, func(ask placement.Ask) (peer.Answer, error) {
		return peer.Answer{Reply: placement.Reply{Verdict: placement.Redirect, To: name, Epoch: ask.Epoch}}, nil
	})
}

// GoneTo says of every block that another node owns it.
func GoneTo(name string) Trick {
	return answering("gone to "+name, func(ask placement.Ask) (peer.Answer, error) {
		return peer.Answer{Reply: placement.Reply{Verdict: placement.Gone, To: name, Epoch: ask.Epoch}}, nil
	})
}

// Answering is a trick of the test's own.
func Answering(name string, answer func(ctx context.Context, honest Answerer, q Question) (peer.Answer, error)) Trick {
	return Trick{name: name, answer: answer}
}

func answering(name string, answer func(placement.Ask) (peer.Answer, error)) Trick {
	return Trick{name: name, answer: func(_ context.Context, _ Answerer, q Question) (peer.Answer, error) {
		return answer(q.Ask)
	}}
}

func refusing(name string, err error) Trick {
	return answering(name, func(placement.Ask) (peer.Answer, error) {
		return peer.Answer{}, fmt.Errorf("trick: %w", err)
	})
}
