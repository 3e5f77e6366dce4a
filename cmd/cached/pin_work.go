package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// run looks after the pins until the daemon ends.
func (p *pinner) run() {
	tick := time.NewTicker(repinEach)
	defer tick.Stop()
	for {
		for {
			image, ok := p.next()
			if !ok {
				break
			}
			p.tend(image)
		}
		select {
		case <-p.wake:
		case <-tick.C:
			p.mu.Lock()
			for image := range p.known {
				p.due[image] = true
			}
			p.mu.Unlock()
		case <-p.ending.Done():
			return
		}
	}
}

// next returns a pin that is to be looked at.
func (p *pinner) next() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending.Err() != nil {
		return "", false
	}
	for image := range p.due {
		delete(p.due, image)
		return image, true
	}
	return "", false
}

// tend has a pin follow its name, and brings what is missing of it.
func (p *pinner) tend(image string) {
	err := p.follow(image)
	p.mu.Lock()
	now := p.known[image]
	p.mu.Unlock()
	if now == nil || p.ending.Err() != nil {
		return
	}
	if p.node.l2 == nil {
		err = fmt.Errorf("this host has no L2: %w", block.ErrUnavailable)
	} else {
		ctx := block.WithCall(p.ending, block.Call{Image: image})
		broughtErr := p.node.bringAll(ctx, now.blocks, func(t tally) {
			p.edit(now, func() { now.now = t; now.now.lacking = nil })
		})
		if err == nil {
			err = broughtErr
		}
	}
	if p.ending.Err() != nil {
		return
	}
	state, problem := cachedv1.PinState_PIN_STATE_PINNED, ""
	if err != nil {
		state, problem = cachedv1.PinState_PIN_STATE_INCOMPLETE, err.Error()
		p.log.Warn("a pin is not as it should be", "image", image, "error", err)
	}
	p.edit(now, func() { now.state, now.problem = state, problem })
	if id, err := block.ParseID(now.manifest); err == nil {
		p.node.seen(resident{manifest: id, name: image})
	}
}

// edit changes a pin, unless it was replaced or is gone.
func (p *pinner) edit(e *pin, change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[e.image] == e {
		change()
	}
}

// follow keeps what the image's name means now. When that cannot be found out or does
// not fit, what was kept stays so.
func (p *pinner) follow(image string) error {
	if p.node.l2 == nil {
		return nil
	}
	if err := p.take(p.ending); err != nil {
		return err
	}
	defer func() { <-p.turn }()
	p.mu.Lock()
	was := p.known[image]
	p.mu.Unlock()
	if was == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ending, followTimeout)
	defer cancel()
	next := &pin{image: image, scope: was.scope, since: was.since, state: was.state, problem: was.problem}
	if err := p.choose(ctx, next); err != nil {
		return fmt.Errorf("what it is to keep is not known: %w", err)
	}
	if next.manifest == was.manifest && slices.Equal(next.blocks, was.blocks) {
		return nil
	}
	return p.change(was, next)
}

// followTimeout is how long it may take to find out what a pin is to keep.
const followTimeout = time.Minute
