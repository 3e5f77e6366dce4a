package prefetch

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
)

// The encoding, integers big-endian, varints as of encoding/binary:
//
//	magic "cachedtr" · version u8 · image [32] · workload u8 and its bytes ·
//	began u64 in ms since 1970 · blocks u32 · count u32 ·
//	count times: varint of the block less the one before, uvarint of the ms since
//	the touch before · BLAKE3-256 of all that [32]
//
// Every trace has exactly one encoding.
const (
	traceMagic   = "cachedtr"
	traceVersion = 1
	traceHead    = len(traceMagic) + 1 + len(block.ID{}) + 1
	traceCounts  = 8 + 4 + 4
	traceSum     = len(block.ID{})
)

// Encode returns the one encoding of t, or an error that matches ErrTrace.
func (t *Trace) Encode() ([]byte, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	p := make([]byte, 0, traceHead+traceCounts+traceSum+len(t.Workload)+3*len(t.Touches))
	p = append(p, traceMagic...)
	p = append(p, traceVersion)
	p = append(p, t.Image[:]...)
	p = append(append(p, byte(len(t.Workload))), t.Workload...)
	p = binary.BigEndian.AppendUint64(p, uint64(t.Began.UnixMilli()))
	p = binary.BigEndian.AppendUint32(p, t.Blocks)
	p = binary.BigEndian.AppendUint32(p, uint32(len(t.Touches)))
	last, at := int64(0), int64(0)
	for _, touch := range t.Touches {
		p = binary.AppendVarint(p, int64(touch.Block)-last)
		p = binary.AppendUvarint(p, uint64(touch.After.Milliseconds()-at))
		last, at = int64(touch.Block), touch.After.Milliseconds()
	}
	sum := block.Sum(p)
	return append(p, sum[:]...), nil
}

// DecodeTrace reads what [Trace.Encode] wrote and accepts nothing else. Errors
// match ErrTrace.
func DecodeTrace(p []byte) (*Trace, error) {
	fail := func(format string, args ...any) (*Trace, error) {
		return nil, fmt.Errorf("%w: %w", ErrTrace, fmt.Errorf(format, args...))
	}
	switch {
	case len(p) < len(traceMagic)+1 || string(p[:len(traceMagic)]) != traceMagic:
		return fail("%d bytes that do not begin with %q", len(p), traceMagic)
	case p[len(traceMagic)] != traceVersion:
		return fail("version %d, this program reads version %d; use a newer program", p[len(traceMagic)], traceVersion)
	case len(p) < traceHead+traceCounts+traceSum:
		return fail("truncated: %d bytes", len(p))
	}
	body, sum := p[:len(p)-traceSum], p[len(p)-traceSum:]
	if block.Sum(body) != block.ID(sum) {
		return fail("its %d bytes have another digest: truncated or damaged", len(p))
	}
	t := &Trace{Image: block.ID(body[len(traceMagic)+1:][:traceSum])}
	length := int(body[traceHead-1])
	if body = body[traceHead:]; len(body) < length+traceCounts {
		return fail("truncated: a workload of %d bytes", length)
	}
	t.Workload, body = string(body[:length]), body[length:]
	began := binary.BigEndian.Uint64(body)
	if began > maxBegan {
		return fail("it began %d ms after 1970", began)
	}
	t.Began = time.UnixMilli(int64(began)).UTC()
	t.Blocks = binary.BigEndian.Uint32(body[8:])
	count := binary.BigEndian.Uint32(body[12:])
	if body = body[traceCounts:]; uint64(len(body)) < 2*uint64(count) { // believed as far as there are bytes
		return fail("%d touches in %d bytes", count, len(body))
	}
	if err := t.decodeTouches(body, count); err != nil {
		return fail("%w", err)
	}
	return t, t.Check()
}

func (t *Trace) decodeTouches(p []byte, count uint32) error {
	t.Touches = make([]Touch, count)
	last, at := int64(0), uint64(0)
	for i := range t.Touches {
		step, n := binary.Varint(p)
		if n <= 0 || n != len(binary.AppendVarint(nil, step)) {
			return fmt.Errorf("touch %d: its block is no shortest varint", i)
		}
		p = p[n:]
		ms, n := binary.Uvarint(p)
		if n <= 0 || n != len(binary.AppendUvarint(nil, ms)) {
			return fmt.Errorf("touch %d: its time is no shortest varint", i)
		}
		p = p[n:]
		if last, at = last+step, at+ms; last < 0 || last >= int64(t.Blocks) || ms > uint64(maxAfter/time.Millisecond) || at > uint64(maxAfter/time.Millisecond) {
			return fmt.Errorf("touch %d is of block %d after %d ms, the image has %d", i, last, at, t.Blocks)
		}
		t.Touches[i] = Touch{Block: uint32(last), After: time.Duration(at) * time.Millisecond}
	}
	if len(p) > 0 {
		return fmt.Errorf("%d bytes behind the last touch", len(p))
	}
	return nil
}
