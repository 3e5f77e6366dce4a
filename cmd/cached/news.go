package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
)

// A news passes on what is the latest, from a goroutine of its own: whoever makes the
// news does not wait for who hears them.
type news struct {
	tell func(*cachedv1.NodeWarmth) error
	stop chan struct{}
	told sync.WaitGroup

	mu   sync.Mutex
	last *cachedv1.NodeWarmth
	err  error
}

func newsOf(tell func(*cachedv1.NodeWarmth) error, beat time.Duration) *news {
	n := &news{tell: tell, stop: make(chan struct{})}
	n.told.Go(func() {
		changes, beats := time.NewTicker(tellEvery), time.NewTicker(beat)
		defer changes.Stop()
		defer beats.Stop()
		var was *cachedv1.NodeWarmth
		for {
			due := false
			select {
			case <-n.stop:
				return
			case <-changes.C:
			case <-beats.C:
				due = true
			}
			n.mu.Lock()
			now := n.last
			n.mu.Unlock()
			if now != nil && (due || now != was) {
				was = now
				n.fail(n.tell(now))
			}
		}
	})
	return n
}

func (n *news) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.err = err
	}
}

// set is what there is to tell now; it is not changed afterwards.
func (n *news) set(now *cachedv1.NodeWarmth) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = now
}

// end tells the last, and returns err or why nobody could be told.
func (n *news) end(ctx context.Context, err error) error {
	close(n.stop)
	n.told.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if n.last != nil && n.err == nil {
		last := proto.CloneOf(n.last)
		if err == nil {
			last.State = cachedv1.WarmState_WARM_STATE_DONE
		}
		n.err = n.tell(last)
	}
	if err == nil {
		err = n.err
	}
	return err
}
