package api

import (
	"context"
	"net"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zonecache/cached/block"
)

// A laneState is what a connection in the lane is doing; the sweep limits how
// long it may.
type laneState uint64

const (
	laneIdle    laneState = iota // between requests
	laneHead                     // a request has begun to arrive
	laneWaiting                  // the block is being read
	laneWriting                  // the response is being written
	laneStates  = 4
)

// A laneConn is a connection whose requests were all raw reads so far.
type laneConn struct {
	lane   *lane
	net    net.Conn
	fd     syscall.RawConn
	ctx    context.Context //nolint:containedctx // the connection's, not a call's: ends when the peer is seen to be gone
	cancel context.CancelFunc
	doing  atomic.Uint64 // laneState + laneStates * the tick at which it began
	last   bool          // the response being written says Connection: close

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
			c.lane.handler.log.Error("a block read panicked", "panic", p, "stack", string(debug.Stack()))
			c.net.Close()
		}
	}()
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
		c.w = copy(c.in[:], c.in[req.size:c.w])
		if err := c.answer(req); err != nil || c.last {
			c.net.Close()
			return
		}
		c.enter(laneIdle)
		if c.w > 0 {
			c.enter(laneHead)
		}
	}
}

// answer serves one raw read. The error is the connection's.
func (c *laneConn) answer(req laneRequest) error {
	h := c.lane.handler
	raw, err := parseRawQuery(req.query)
	if err != nil {
		return c.fail(err)
	}
	if err := h.gate.enter(); err != nil {
		return c.fail(err)
	}
	defer h.gate.leave()
	c.enter(laneWaiting)
	b, err := c.read(raw, req.timeout)
	if err != nil {
		return c.fail(err)
	}
	defer b.Release()
	from, to, err := raw.part.within(b.Len())
	if err != nil {
		return c.fail(err)
	}
	return c.write(appendBlockHead(c.out[:0], c.lane.date(), b, to-from), b.Bytes()[from:to])
}

func (c *laneConn) read(raw rawRequest, timeout time.Duration) (block.Block, error) {
	ctx := c.ctx
	if raw.call != (block.Call{}) {
		ctx = block.WithCall(ctx, raw.call)
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return c.lane.handler.reader.ReadBlock(ctx, raw.id)
}

func (c *laneConn) fail(err error) error {
	k := kindOf(err)
	logFailure(c.lane.handler.log, k, err)
	body := marshalError(k, err)
	return c.write(appendErrorHead(c.out[:0], c.lane.date(), k, len(body)), body)
}

// write sends head and body by one system call, straight from the block.
func (c *laneConn) write(head, body []byte) error {
	if c.lane.draining.Load() {
		c.last = true
		head = append(head, "\r\nConnection: close"...)
	}
	c.out = append(head, "\r\n\r\n"...)
	c.enter(laneWriting)
	c.vec = [2][]byte{c.out, body}
	c.bufs = c.vec[:]
	_, err := c.bufs.WriteTo(c.net)
	c.vec = [2][]byte{}
	return err
}

// endSoon makes the connection end when it stays idle for a moment.
func (c *laneConn) endSoon() {
	_ = c.net.SetReadDeadline(time.Now().Add(drainGrace)) // fails on a broken connection only
}

// gone reports whether the peer has closed the connection. Bytes of a next
// request hide that until they are read, as they do in net/http.
func (c *laneConn) gone() bool {
	var n int
	var err error
	ctl := c.fd.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	if ctl != nil {
		return true // closed by this side
	}
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return false
	}
	return err != nil || n == 0
}

// A replayConn gives back the bytes the lane had received before it reads on.
type replayConn struct {
	stallConn
	rest []byte
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

func newLaneConn(l *lane, conn net.Conn) *laneConn {
	c := &laneConn{lane: l, net: conn, out: make([]byte, 0, 512)}
	if sc, ok := conn.(syscall.Conn); ok {
		c.fd, _ = sc.SyscallConn() // fails on a closed connection, which net/http then finds
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.enter(laneIdle)
	return c
}
