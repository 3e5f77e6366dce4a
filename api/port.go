package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// A port is what agents' and peers' servers have in common: a listener, the lane
// its connections begin in, and net/http for those that do not stay there.
type port struct {
	http *http.Server
	done chan struct{} // closed when shutdown is through

	mu       sync.Mutex
	stopped  bool
	lane     *lane
	listener net.Listener
}

// A portOwner knows why its port stops accepting.
type portOwner interface {
	draining() bool
	Shutdown(ctx context.Context) error
}

// serve accepts connections from l until owner drains, and then returns nil. It
// closes l. net/http gets those that foreign, made of the lane, accepts.
func (p *port) serve(owner portOwner, l net.Listener, lane *lane, foreign net.Listener) error {
	if !p.start(lane, l) {
		l.Close()
		return nil
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { lane.sweep(stop) })
	wg.Go(func() { _ = p.http.Serve(foreign) }) // ends when the lane is closed
	err := lane.accept(l)
	if owner.draining() {
		err = nil
	} else {
		// The listener broke. What is in progress must not outlive serve.
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		err = errors.Join(fmt.Errorf("serve %s: %w", l.Addr(), err), owner.Shutdown(ended))
	}
	<-p.done
	close(stop)
	wg.Wait()
	return err
}

// start notes what shutdown must end, unless it was called already.
func (p *port) start(lane *lane, l net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	if p.lane != nil {
		panic("api: a server serves one listener")
	}
	p.lane, p.listener = lane, l
	return true
}

// shutdown accepts no more connections and waits until every request in progress
// is answered. When ctx ends before they all are, it cuts them off and returns
// an error.
func (p *port) shutdown(ctx context.Context) error {
	p.mu.Lock()
	first := !p.stopped
	p.stopped = true
	lane, l := p.lane, p.listener
	p.mu.Unlock()
	if !first || lane == nil {
		return nil
	}
	defer close(p.done)
	l.Close()
	// The lane first: what it hands over while draining, net/http must accept.
	err := lane.drain(ctx)
	if httpErr := p.http.Shutdown(ctx); httpErr != nil {
		p.http.Close()
		err = errors.Join(err, fmt.Errorf("drain: requests in progress were cut off: %w", httpErr))
	}
	return err
}
