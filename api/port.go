package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// A port is what agents' and peers' servers have in common: listeners, each with
// the lane its connections begin in, and net/http for those that do not stay there.
type port struct {
	http *http.Server
	done chan struct{} // closed when shutdown is through

	mu        sync.Mutex
	stopped   bool
	lanes     []*lane
	listeners []net.Listener
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
	p.lanes, p.listeners = append(p.lanes, lane), append(p.listeners, l)
	return true
}

// shutdown accepts no more connections and waits until every request in progress
// is answered. When ctx ends before they all are, it cuts them off and returns
// an error.
func (p *port) shutdown(ctx context.Context) error {
	p.mu.Lock()
	first := !p.stopped
	p.stopped = true
	lanes, listeners := p.lanes, p.listeners // which nobody adds to any more
	p.mu.Unlock()
	if !first || len(lanes) == 0 {
		return nil
	}
	defer close(p.done)
	for _, l := range listeners {
		l.Close()
	}
	// The lanes first: what they hand over while draining, net/http must accept.
	errs := make([]error, len(lanes)+1)
	var wg sync.WaitGroup
	for i, lane := range lanes {
		wg.Go(func() { errs[i] = lane.drain(ctx) })
	}
	wg.Wait()
	if err := p.http.Shutdown(ctx); err != nil {
		p.http.Close()
		errs[len(lanes)] = fmt.Errorf("drain: requests in progress were cut off: %w", err)
	}
	return errors.Join(errs...)
}
