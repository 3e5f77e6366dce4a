package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zonecache/cached/sparse"
)

// laneTick is how often the lane looks after its connections, and so how
// exactly its time limits are kept.
const laneTick = 50 * time.Millisecond

// drainGrace is how long an idle connection may still begin a request after
// draining began: one that its client has just sent must not fail.
const drainGrace = 100 * time.Millisecond

// A laneHandler serves the raw reads of a lane: those of agents or of peers.
type laneHandler interface {
	// greet looks at who a new connection's peer is. After an error, which
	// greet has logged, the connection is closed.
	greet(c *laneConn) error
	// serve answers one raw read. The error is the connection's: it is closed.
	serve(c *laneConn, req laneRequest) error
}

// laneOptions are a lane's.
type laneOptions struct {
	tls           *tls.Config   // nil: plain text
	headerTimeout time.Duration // for a handshake, and for the head of a request
	idleTimeout   time.Duration
	stallTimeout  time.Duration
	now           func() time.Time // of tenures; nil: nobody has one
	unsent        func() int       // TCP_NOTSENT_LOWAT of what is sent from now on; nil: the system's
	places        *places          // nil: as many connections as there are descriptors
	refused       func(Refusal)    // nil: nobody counts
	log           *slog.Logger
}

// A lane serves raw reads without net/http. Every connection begins in it and
// stays as long as all its requests are raw reads; the first other one hands it
// over to net/http, with every byte of that request, for good.
//
// With TLS the lane shakes hands itself, and net/http is given connections that
// are plain to it; connTLS says what is known of their peers.
//
// net/http spends about a tenth of a 512 KiB read on what a raw read has no use
// for: timers for each of its deadlines, a goroutine that watches for the peer
// going away, maps of header fields, a second system call for the head. Here
// the head and the block leave by one writev, and one sweep looks after the
// limits of all connections (docs/adr/0004).
type lane struct {
	handler laneHandler
	options laneOptions
	address net.Addr
	foreign chan net.Conn // to net/http
	closed  chan struct{} // net/http accepts no more

	tick     atomic.Int64
	dateNow  atomic.Pointer[string]
	complain sparse.Gate
	records  *sync.Pool // for recordConns
	draining atomic.Bool
	closing  sync.Once
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[*laneConn]struct{}
}

var _ net.Listener = (*lane)(nil) // of what net/http serves

func newLane(h laneHandler, o laneOptions, address net.Addr) *lane {
	l := &lane{
		handler: h, options: o, address: address,
		foreign: make(chan net.Conn), closed: make(chan struct{}),
		conns: map[*laneConn]struct{}{}, records: newRecordPool(),
	}
	l.tellTime(time.Now())
	l.running.Add(1) // accept, so that nothing begins once drain has waited for all
	return l
}

// Accept implements [net.Listener]: the next connection handed over.
func (l *lane) Accept() (net.Conn, error) {
	select {
	case c := <-l.foreign:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *lane) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *lane) Addr() net.Addr { return l.address }

// accept takes connections from listener until it is closed. It is called once.
func (l *lane) accept(listener net.Listener) error {
	defer l.running.Done()
	for pause := 5 * time.Millisecond; ; {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			l.begin(conn)
		case passing(err):
			l.options.log.Warn("no connection can be accepted for now", "error", err, "retry", pause)
			<-time.After(pause)
			pause = min(2*pause, time.Second)
		default:
			return err
		}
	}
}

// passing reports whether accepting may work again later: descriptors or memory
// ran out, or the peer did not wait.
func passing(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	}, func(e error) bool { return errors.Is(err, e) })
}

// begin starts serving a new connection. Only one with a descriptor can be
// watched; any other kind is net/http's from the start.
func (l *lane) begin(conn net.Conn) {
	leave, ok := l.options.places.enter(conn)
	if !ok {
		l.refuse(RefusedConnection, "a connection was refused: there are too many", "peer", conn.RemoteAddr().String())
		conn.Close()
		return
	}
	c := newLaneConn(l, conn)
	c.leave = leave
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	if l.draining.Load() { // and drain may have looked before c was there
		c.endSoon()
	}
	if c.fd == nil {
		l.running.Go(func() {
			defer l.forget(c)
			l.handOver(c)
		})
		return
	}
	l.running.Go(c.run)
}

// refuse counts a refusal, and logs it unless there are too many to log.
func (l *lane) refuse(why Refusal, message string, args ...any) {
	if l.options.refused != nil {
		l.options.refused(why)
	}
	l.complain.Warn(l.options.log, message, args...)
}

func (l *lane) forget(c *laneConn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	if c.leave != nil {
		c.leave()
	}
}

// handOver gives a connection to net/http.
func (l *lane) handOver(c *laneConn) {
	conn := &replayConn{
		stallConn: stallConn{Conn: c.net, timeout: l.options.stallTimeout}, rest: append([]byte(nil), c.in[:c.w]...),
		tls: c.tls, node: c.node, tenure: c.tenure, leave: c.leave,
	}
	c.leave = nil // its place is now conn's
	select {
	case l.foreign <- conn:
	case <-l.closed:
		conn.Close()
	}
}

// sweep keeps the clock and the connections' limits until stop is closed.
func (l *lane) sweep(stop <-chan struct{}) {
	ticker := time.NewTicker(laneTick)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			l.tellTime(now)
			l.sweepOnce(l.tick.Add(1))
		case <-stop:
			return
		}
	}
}

func (l *lane) sweepOnce(now int64) {
	l.mu.Lock()
	var late, waiting []*laneConn
	for c := range l.conns {
		state, age := c.state(now)
		switch {
		case state == laneIdle && (age > l.options.idleTimeout || c.cut()),
			state == laneHead && age > l.options.headerTimeout,
			state == laneWriting && age > l.options.stallTimeout:
			late = append(late, c)
		case state == laneWaiting && age >= laneTick:
			waiting = append(waiting, c)
		}
	}
	l.mu.Unlock()
	for _, c := range late {
		c.raw.Close() // not TLS's Close, which would write to a peer that does not read
	}
	for _, c := range waiting {
		if c.gone() {
			c.cancel()
		}
	}
}

// tellTime keeps the Date of responses.
func (l *lane) tellTime(now time.Time) {
	date := now.UTC().Format(http.TimeFormat)
	if was := l.dateNow.Load(); was == nil || *was != date {
		l.dateNow.Store(&date)
	}
}

func (l *lane) date() string { return *l.dateNow.Load() }

// drain lets every read in progress end and closes the connections. When ctx
// ends first, they are cut off.
func (l *lane) drain(ctx context.Context) error {
	l.draining.Store(true)
	l.each((*laneConn).endSoon)
	ended := make(chan struct{})
	go func() {
		l.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	n := 0
	l.each(func(c *laneConn) {
		n++
		c.cancel()
		c.raw.Close()
	})
	<-ended
	return fmt.Errorf("drain: %d block reads in progress were cut off: %w", n, ctx.Err())
}

// each calls f for every connection, outside of the lock.
func (l *lane) each(f func(*laneConn)) {
	l.mu.Lock()
	conns := make([]*laneConn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}
