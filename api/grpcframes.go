package api

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
)

// HTTP/2 as far as a frameConn reads it (RFC 9113).
const (
	h2Preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead      = 9 // length in 3 bytes, type, flags, stream in 4
	frameData      = 0
	frameSettings  = 4
	flagEndStream  = 1 // of DATA
	flagAck        = 1 // of SETTINGS
	settingSize    = 6
	settingFrame   = 5 // SETTINGS_MAX_FRAME_SIZE
	smallestFrame  = 16 << 10
	largestFrame   = 1<<24 - 1
	maxSettings    = 100 * settingSize // net/http refuses more
	frameConnRead  = 4 << 10
	frameConnHold  = 16 << 10
	grpcFrameClaim = block.MaxSize / 2 // what net/http is told every peer takes; it keeps one such buffer a connection
)

// A frameListener gives net/http its HTTP/2 connections as frameConns.
type frameListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l frameListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if c, ok := conn.(*replayConn); ok && len(c.rest) >= 4 && string(c.rest[:4]) == h2Preface[:4] {
		return newFrameConn(c), nil
	}
	return conn, err
}

// A frameConn makes net/http's frames fit the peer and the system calls fit
// the frames.
//
// net/http takes two hand-overs between goroutines and a system call for each
// DATA frame, and gRPC clients other than ours take 16 KiB in one. A frameConn
// tells net/http that the peer takes half a MiB, by changing that one number in
// the peer's SETTINGS, and cuts the DATA frames on their way out to what the
// peer really takes: a block leaves by one writev. What ends within a frame waits
// for the rest, which net/http always writes at once. Received bytes are
// buffered, because net/http reads a frame's head and its content one by one.
//
// Only DATA frames are cut: net/http makes no other one larger than 16 KiB.
// Flow control counts bytes, not frames, so that it is unaffected. One goroutine
// reads and one at a time writes, as net/http does.
type frameConn struct {
	*replayConn
	largest atomic.Uint32 // frame the peer takes

	in   [frameConnRead + settingSize]byte // room for the one setting added
	r, w int                               // in[r:w] was received and not passed on
	pass int                               // bytes before the next frame's head that are passed on

	head    [frameHead]byte // of the frame being written
	headLen int             // how much of head is there
	left    int             // bytes of the frame still to come
	piece   int             // of which belong to the frame last begun for the peer
	held    []byte
	heads   []byte
	out     net.Buffers
}

func newFrameConn(c *replayConn) *frameConn {
	f := &frameConn{replayConn: c, pass: len(h2Preface)}
	f.largest.Store(smallestFrame)
	return f
}

// frameLength reads the length a frame's head states.
func frameLength(head []byte) int { return int(head[0])<<16 | int(head[1])<<8 | int(head[2]) }

// Read implements [net.Conn].
func (c *frameConn) Read(p []byte) (int, error) {
	for {
		if have := c.w - c.r; have > 0 && c.pass > 0 {
			n := copy(p, c.in[c.r:c.r+min(have, c.pass)])
			c.r, c.pass = c.r+n, c.pass-n
			return n, nil
		}
		if c.pass == 0 && c.nextFrame() {
			continue
		}
		c.w = copy(c.in[:], c.in[c.r:c.w])
		c.r = 0
		n, err := c.replayConn.Read(c.in[c.w:frameConnRead])
		c.w += n
		if n == 0 && err != nil {
			if c.w == 0 {
				return 0, err
			}
			c.pass = c.w // half a head; net/http says what it thinks of it
		}
	}
}

// nextFrame looks at the head of the frame that begins at r and reports whether
// there was enough of it.
func (c *frameConn) nextFrame() bool {
	have := c.in[c.r:c.w]
	if len(have) < frameHead {
		return false
	}
	size := frameHead + frameLength(have)
	if have[3] == frameSettings && have[4]&flagAck == 0 && size <= frameHead+maxSettings && size%settingSize == frameHead%settingSize {
		if len(have) < size {
			return false
		}
		if !c.settings(have[:size]) {
			size = c.addSetting(size)
		}
	}
	c.pass = size
	return true
}

// settings notes what the peer states in a SETTINGS frame and overstates it. It
// reports whether the frame states a largest frame.
func (c *frameConn) settings(frame []byte) (stated bool) {
	for s := frame[frameHead:]; len(s) > 0; s = s[settingSize:] {
		if binary.BigEndian.Uint16(s) != settingFrame {
			continue
		}
		stated = true
		if v := binary.BigEndian.Uint32(s[2:]); v >= smallestFrame && v <= largestFrame { // net/http refuses others
			c.largest.Store(v)
			binary.BigEndian.PutUint32(s[2:], max(v, grpcFrameClaim))
		}
	}
	return stated
}

// addSetting adds the overstated largest frame to the SETTINGS frame at r, which
// has size bytes, and returns its new size.
func (c *frameConn) addSetting(size int) int {
	c.w = copy(c.in[:], c.in[c.r:c.w])
	c.r = 0
	copy(c.in[size+settingSize:], c.in[size:c.w])
	c.w += settingSize
	binary.BigEndian.PutUint16(c.in[size:], settingFrame)
	binary.BigEndian.PutUint32(c.in[size+2:], max(c.largest.Load(), grpcFrameClaim))
	size += settingSize
	n := size - frameHead
	c.in[0], c.in[1], c.in[2] = byte(n>>16), byte(n>>8), byte(n)
	return size
}

// Write implements [net.Conn].
func (c *frameConn) Write(p []byte) (int, error) {
	c.out, c.heads = c.out[:0], c.heads[:0]
	if len(c.held) > 0 {
		c.out = append(c.out, c.held)
	}
	for rest := p; len(rest) > 0; {
		rest = rest[c.cut(rest):]
	}
	if len(c.held)+len(p) <= frameConnHold { // cheaper to copy than to describe
		out := c.out
		if len(c.held) > 0 {
			out = out[1:]
		}
		for _, b := range out {
			c.held = append(c.held, b...)
		}
		if c.left > 0 || c.headLen > 0 {
			return len(p), nil
		}
		c.out = append(c.out[:0], c.held)
	}
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	out := c.out // WriteTo takes the slices away one by one
	var err error
	if len(out) == 1 {
		_, err = c.Conn.Write(out[0]) // unlike writev, the race detector knows that it orders what happens
	} else {
		_, err = out.WriteTo(c.Conn)
	}
	clear(c.out)
	c.held = c.held[:0]
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// cut appends the beginning of p to what is written and returns its length.
func (c *frameConn) cut(p []byte) int {
	if c.left == 0 {
		n := copy(c.head[c.headLen:], p)
		if c.headLen += n; c.headLen == frameHead {
			c.headLen = 0
			c.left = frameLength(c.head[:])
			if c.left == 0 {
				c.begin()
			}
		}
		return n
	}
	if c.piece == 0 {
		c.begin()
	}
	n := min(c.piece, len(p))
	c.out = append(c.out, p[:n])
	c.piece -= n
	c.left -= n
	return n
}

// begin begins a frame for the peer with what it takes of the bytes left.
func (c *frameConn) begin() {
	c.piece = c.left
	flags := c.head[4]
	if most := int(c.largest.Load()); c.head[3] == frameData && c.left > most {
		c.piece = most
		flags &^= flagEndStream
	}
	at := len(c.heads)
	c.heads = append(c.heads, byte(c.piece>>16), byte(c.piece>>8), byte(c.piece), c.head[3], flags)
	c.heads = append(c.heads, c.head[5:]...)
	c.out = append(c.out, c.heads[at:])
}
