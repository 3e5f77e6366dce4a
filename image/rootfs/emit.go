package rootfs

import (
	"context"
	"fmt"
	"io"
)

// An emitter writes the image in order and knows where it is. Its first error
// stays; check and flush report it.
type emitter struct {
	w   io.Writer
	off int64
	buf []byte
	err error
}

const emitBuffer = 256 << 10

func newEmitter(w io.Writer, off int64) *emitter {
	return &emitter{w: w, off: off, buf: make([]byte, 0, emitBuffer)}
}

// Write implements io.Writer for contents, which bypass the buffer when large.
func (e *emitter) Write(p []byte) (int, error) {
	e.write(p)
	return len(p), e.err
}

func (e *emitter) write(p []byte) {
	e.off += int64(len(p))
	if len(e.buf)+len(p) > cap(e.buf) {
		e.drain()
	}
	if len(p) >= cap(e.buf) {
		e.send(p)
		return
	}
	e.buf = append(e.buf, p...)
}

func (e *emitter) drain() {
	if len(e.buf) > 0 {
		e.send(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *emitter) send(p []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(p)
	}
}

// padTo writes zeros up to an offset of the image.
func (e *emitter) padTo(off int64) {
	if off < e.off && e.err == nil {
		e.err = fmt.Errorf("layout: at %d, behind %d", e.off, off)
	}
	for e.err == nil && e.off < off {
		e.write(zeroBlock[:min(off-e.off, blockSize)])
	}
}

// align writes zeros up to the next block.
func (e *emitter) align() { e.padTo(align(e.off, blockSize)) }

// check reports a failure or the end of ctx; it looks at ctx now and then.
func (e *emitter) check(ctx context.Context, i int) error {
	if e.err == nil && i%256 == 0 {
		e.err = ctx.Err()
	}
	return e.err
}

func (e *emitter) flush() error {
	e.drain()
	return e.err
}
