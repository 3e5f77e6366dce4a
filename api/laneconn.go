package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A laneState is what a connection in the lane is doing; the sweep limits how
// long it may.
type laneState uint64

const (
	laneIdle    laneState = iota // between requests
	laneHead                     // a handshake is under way, or a request has begun to arrive
	laneWaiting                  // the block is being read
	laneWriting                  // the response is being written
	laneStates  = 4
)

// A laneConn is a connection whose requests were all raw reads so far.
type laneConn struct {
	lane   *lane
	net    net.Conn // what is read and written: raw, or TLS over it
	raw    net.Conn
	tls    *tls.Conn   // nil: plain text
	record *recordConn // under tls; nil: none
	fd     syscall.RawConn
	ctx    context.Context //nolint:containedctx // the connection's, not a call's: ends when the peer is seen to be gone
	cancel context.CancelFunc
	doing  atomic.Uint64 // laneState + laneStates * the tick at which it began
	last   bool          // the response being written says Connection: close
	leave  func()        // gives the connection's place back; nil: it has none

	tenure  tenure       // for ever unless bounded
	bounded atomic.Bool  // tenure was set, and does not change any more
	node    string       // whose connection it is, by its certificate; "" where that is not asked
	queued  func() error // tellQueued, for peers
	unsent  int          // as holdBack has set it; 0: never

	in   [maxHead]byte
	w    int // in[:w] was received and not consumed
	out  []byte
	vec  [2][]byte
	bufs net.Buffers
}

func (c *laneConn) enter(s laneState) {
	c.doing.Store(uint64(s) + laneStates*uint64(c.lane.tick.Load()))
}

// state returns what the connection does and for how long it has.
func (c *laneConn) state(now int64) (laneState, time.Duration) {
	v := c.doing.Load()
	return laneState(v % laneStates), time.Duration(now-int64(v/laneStates)) * laneTick
}

// run serves requests until the connection ends or is handed over.
func (c *laneConn) run() {
	defer c.lane.forget(c)
	defer c.cancel()
	defer func() {
		if p := recover(); p != nil { // as net/http does: one request's bug ends one connection
			c.lane.options.log.Error("a block read panicked", "panic", p, "stack", string(debug.Stack()))
			c.raw.Close()
		}
	}()
	if !c.open() {
		c.raw.Close()
		return
	}
	for {
		req, result := parseLaneHead(c.in[:c.w])
		switch result {
		case headForeign:
			_ = c.net.SetReadDeadline(time.Time{}) // fails on a broken connection only, which net/http finds
			c.lane.handOver(c)
			return
		case headPartial:
			n, err := c.net.Read(c.in[c.w:])
			if n == 0 && err != nil {
				c.net.Close()
				return
			}
			if c.w == 0 {
				c.enter(laneHead)
			}
			c.w += n
			continue
		}
		if c.cut() {
			c.raw.Close() // the peer asks again on another connection
			return
		}
		c.w = copy(c.in[:], c.in[req.size:c.w])
		if err := c.lane.handler.serve(c, req); err != nil {
			c.raw.Close() // without a farewell: what was sent may not be all
			return
		}
		if c.last {
			c.net.Close()
			return
		}
		c.enter(laneIdle)
		if c.w > 0 {
			c.enter(laneHead)
		}
	}
}

// open completes the handshake and looks at who the peer is.
func (c *laneConn) open() bool {
	if c.tls != nil {
		c.enter(laneHead)
		if err := c.tls.HandshakeContext(c.ctx); err != nil {
			if !errors.Is(err, io.EOF) && !c.lane.draining.Load() { // somebody who only looked whether the port is open
				c.lane.refuse(RefusedHandshake, "a TLS handshake failed", "peer", c.raw.RemoteAddr().String(), "error", err)
			}
			answerPlainText(err)
			return false
		}
		c.enter(laneIdle)
	}
	return c.lane.handler.greet(c) == nil
}

// setTenure bounds how long the connection may be used. It is called once, by
// greet.
func (c *laneConn) setTenure(l tenure) {
	c.tenure = l
	c.bounded.Store(true) // for the sweep
}

// over reports whether the connection must end with the next answer.
func (c *laneConn) over() bool { return c.bounded.Load() && c.tenure.over(c.lane.options.now()) }

// cut reports whether the connection may not be used any more.
func (c *laneConn) cut() bool { return c.bounded.Load() && c.tenure.cut(c.lane.options.now()) }

// expired reports whether the peer's certificate is not valid any more.
func (c *laneConn) expired() bool {
	return c.bounded.Load() && c.tenure.expired(c.lane.options.now())
}

// peer returns what TLS knows of the peer; nil without TLS.
func (c *laneConn) peer() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	state := c.tls.ConnectionState()
	return &state
}

// fail answers with an error.
func (c *laneConn) fail(err error) error {
	k := kindOf(err)
	logFailure(c.lane.options.log, k, err)
	body := marshalError(k, err)
	return c.write(appendErrorHead(c.out[:0], c.lane.date(), k, len(body)), body)
}

// write sends head and body by one system call, straight from the block.
func (c *laneConn) write(head, body []byte) error {
	if c.lane.draining.Load() || c.over() {
		c.last = true
	}
	if c.last {
		head = append(head, "\r\nConnection: close"...)
	}
	c.out = append(head, "\r\n\r\n"...)
	if len(body) > 0 {
		c.holdBack()
	}
	c.enter(laneWriting)
	if c.tls != nil {
		return c.writeTLS(c.out, body)
	}
	c.vec = [2][]byte{c.out, body}
	c.bufs = c.vec[:]
	_, err := c.bufs.WriteTo(c.net)
	c.vec = [2][]byte{}
	return err
}

// holdBack bounds how many of the bytes to come may wait in the kernel for their turn
// on the wire.
func (c *laneConn) holdBack() {
	if c.lane.options.unsent == nil || c.fd == nil {
		return
	}
	n := c.lane.options.unsent()
	if n == c.unsent {
		return
	}
	c.unsent = n
	// An error costs the exactness of when a send is done, and no more.
	_ = c.fd.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n)
	})
}

// writeTLS sends head, if any, and body by as few system calls as it takes.
func (c *laneConn) writeTLS(head, body []byte) error {
	if c.record != nil {
		c.record.cork()
	}
	var err error
	for _, p := range [...][]byte{head, body} {
		if len(p) > 0 && err == nil {
			_, err = c.tls.Write(p)
		}
	}
	if c.record != nil {
		err = errors.Join(err, c.record.uncork())
	}
	return err
}

// writeMore sends the next piece of a body.
func (c *laneConn) writeMore(p []byte) error {
	c.enter(laneWriting)
	if c.tls != nil {
		return c.writeTLS(nil, p)
	}
	_, err := c.net.Write(p)
	return err
}

// endSoon makes the connection end when it stays idle for a moment.
func (c *laneConn) endSoon() {
	_ = c.net.SetReadDeadline(time.Now().Add(drainGrace)) // fails on a broken connection only
}

// gone reports whether the peer has closed the connection, or its half of it.
// What it sent before that and nobody has read yet, such as a next request or
// TLS's farewell, does not hide it.
func (c *laneConn) gone() bool {
	var polled [1]unix.PollFd
	var n int
	var err error
	ctl := c.fd.Control(func(fd uintptr) {
		polled[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP}
		n, err = unix.Poll(polled[:], 0)
	})
	if ctl != nil {
		return true // closed by this side
	}
	return err == nil && n > 0
}

// A replayConn gives back the bytes the lane had received before it reads on.
type replayConn struct {
	stallConn
	rest   []byte
	tls    *tls.Conn // under stallConn; nil: plain text
	node   string    // whose connection it is; "" where that is not asked
	tenure tenure    // how long it may be used
	leave  func()    // gives the connection's place back; nil: it has none
	once   sync.Once
}

// Close implements [net.Conn].
func (c *replayConn) Close() error {
	err := c.stallConn.Close()
	if c.leave != nil {
		c.once.Do(c.leave)
	}
	return err
}

// Read implements [net.Conn].
func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.stallConn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// agentContext adds what TLS knows of the peer of a connection that a lane handed
// over, and its tenure, for [http.Server.ConnContext].
func agentContext(ctx context.Context, conn net.Conn) context.Context {
	if f, ok := conn.(*frameConn); ok {
		conn = f.replayConn
	}
	c, ok := conn.(*replayConn)
	if !ok || c.tls == nil {
		return ctx
	}
	state := c.tls.ConnectionState()
	return context.WithValue(withTLS(ctx, &state), tenureKey{}, c.tenure)
}

func newLaneConn(l *lane, conn net.Conn) *laneConn {
	c := &laneConn{lane: l, net: conn, raw: conn, out: make([]byte, 0, 512)}
	if t, ok := conn.(*tls.Conn); ok {
		c.tls, c.raw = t, t.NetConn()
	} else if l.options.tls != nil {
		c.record = &recordConn{Conn: conn, pool: l.records}
		c.tls = tls.Server(c.record, l.options.tls)
		c.net = c.tls
	}
	if sc, ok := c.raw.(syscall.Conn); ok {
		c.fd, _ = sc.SyscallConn() // fails on a closed connection, which net/http then finds
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.enter(laneIdle)
	return c
}
