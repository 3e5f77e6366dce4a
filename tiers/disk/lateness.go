package disk

import (
	"sync"
	"sync/atomic"
	"time"
)

// lateness tells reads that they have waited for long enough. All reads that
// begin within half the time share one channel, because a timer for each shows
// in small reads.
type lateness struct {
	newest  atomic.Pointer[chan struct{}]
	stop    chan struct{}
	stopped sync.WaitGroup
}

// start makes late work; close must follow.
func (l *lateness) start(timeout time.Duration) {
	l.stop = make(chan struct{})
	// A channel is handed out for one interval and closed two later.
	var live [3]chan struct{}
	for i := range live {
		live[i] = make(chan struct{})
	}
	first := live[2]
	l.newest.Store(&first)
	next := func() {
		close(live[0])
		fresh := make(chan struct{})
		live = [3]chan struct{}{live[1], live[2], fresh}
		l.newest.Store(&fresh)
	}
	l.stopped.Go(func() {
		tick := time.NewTicker(max(timeout/2, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				next()
			}
		}
	})
}

// late returns a channel that is closed once to one and a half timeouts from now.
func (l *lateness) late() <-chan struct{} { return *l.newest.Load() }

func (l *lateness) close() {
	close(l.stop)
	l.stopped.Wait()
}
