package api

import (
	"net"
	"sync"
)

// recordBatch is how many bytes of TLS records one system call moves: crypto/tls
// by itself makes one for each record of 16 KiB, or two. Larger batches would
// make encrypting, the network and decrypting take turns instead of overlapping.
const recordBatch = 64 << 10

// recordSlack is room for the record that exceeds a batch.
const recordSlack = 17 << 10

// A recordConn lies under TLS and gathers the records of a block into fewer and
// larger writes, and reads them by larger reads. Memory for that is borrowed
// from a pool while a block is under way.
//
// Gathering is for one writer, who calls cork and uncork; so is buffering for
// one reader.
type recordConn struct {
	net.Conn
	pool *sync.Pool // of *[recordBatch + recordSlack]byte

	out *[recordBatch + recordSlack]byte // nil unless corked
	n   int                              // out[:n] was written and not sent

	in   *[recordBatch + recordSlack]byte // nil unless buffering
	r, w int                              // in[r:w] was received and not read
}

func newRecordPool() *sync.Pool {
	return &sync.Pool{New: func() any { return new([recordBatch + recordSlack]byte) }}
}

// cork begins to gather writes.
func (c *recordConn) cork() {
	if c.out == nil {
		c.out = c.pool.Get().(*[recordBatch + recordSlack]byte)
	}
}

// uncork sends what was gathered and gathers no more.
func (c *recordConn) uncork() error {
	if c.out == nil {
		return nil
	}
	err := c.flush()
	c.pool.Put(c.out)
	c.out = nil
	return err
}

func (c *recordConn) flush() error {
	if c.n == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out[:c.n])
	c.n = 0
	return err
}

// Write implements [net.Conn].
func (c *recordConn) Write(p []byte) (int, error) {
	if c.out == nil {
		return c.Conn.Write(p)
	}
	if len(p) > len(c.out)-c.n {
		if err := c.flush(); err != nil {
			return 0, err
		}
		if len(p) > len(c.out) {
			return c.Conn.Write(p)
		}
	}
	c.n += copy(c.out[c.n:], p)
	if c.n >= recordBatch {
		return len(p), c.flush()
	}
	return len(p), nil
}

// buffer begins to read ahead.
func (c *recordConn) buffer() {
	if c.in == nil {
		c.in = c.pool.Get().(*[recordBatch + recordSlack]byte)
	}
}

// unbuffer ends reading ahead, unless something was read that nobody has taken.
func (c *recordConn) unbuffer() {
	if c.in != nil && c.r == c.w {
		c.pool.Put(c.in)
		c.in = nil
	}
}

// Read implements [net.Conn].
func (c *recordConn) Read(p []byte) (int, error) {
	if c.in == nil {
		return c.Conn.Read(p)
	}
	if c.r == c.w {
		n, err := c.Conn.Read(c.in[:])
		c.r, c.w = 0, n
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, c.in[c.r:c.w])
	c.r += n
	return n, nil
}
