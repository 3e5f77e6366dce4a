package evict

import (
	"encoding/binary"
	"sync/atomic"
)

// heatGrain is how many bytes of a segment share one counter. Blocks are
// counted where they start, so blocks of at least this size never share one;
// smaller ones may, and are then kept or evicted together.
const heatGrain = 16 << 10

const (
	maxHeat       = 3  // two bits, as in the S3-FIFO paper
	heatsInWord   = 16 // of a uint32
	heatWordBytes = 4
)

// Heat counts, for each block of a segment, the reads since it was written (or
// last spared), saturating at maxHeat. It costs 1/65536 of the segment's size.
// All methods may be called at once.
type Heat []atomic.Uint32

// NewHeat returns that of a segment of so many bytes.
func NewHeat(segmentSize int64) Heat {
	return make(Heat, (segmentSize/heatGrain+heatsInWord)/heatsInWord)
}

func (h Heat) at(offset uint32) (*atomic.Uint32, uint) {
	grain := offset / heatGrain
	if int(grain/heatsInWord) >= len(h) {
		return nil, 0
	}
	return &h[grain/heatsInWord], uint(grain%heatsInWord) * 2
}

// Level returns how hot the block at offset is, 0 to maxHeat.
func (h Heat) Level(offset uint32) uint32 {
	w, shift := h.at(offset)
	if w == nil {
		return 0
	}
	return w.Load() >> shift & maxHeat
}

// Bump counts a read of the block at offset. Lost races are not retried: the
// counters are a hint, and a hot block has more reads to come.
func (h Heat) Bump(offset uint32) {
	w, shift := h.at(offset)
	if w == nil {
		return
	}
	if old := w.Load(); old>>shift&maxHeat < maxHeat {
		w.CompareAndSwap(old, old+1<<shift)
	}
}

// cool takes one from every counter above zero.
func (h Heat) cool() {
	for i := range h {
		old := h[i].Load()
		nonzero := (old | old>>1) & 0x55555555
		h[i].Store(old - nonzero)
	}
}

// clear sets every counter to zero.
func (h Heat) clear() {
	for i := range h {
		h[i].Store(0)
	}
}

// Encode returns the counters as bytes, for [Heat.Load].
func (h Heat) Encode() []byte {
	v := make([]byte, 0, len(h)*heatWordBytes)
	for i := range h {
		v = binary.LittleEndian.AppendUint32(v, h[i].Load())
	}
	return v
}

// Load sets the counters from what Encode returned, as far as both reach.
func (h Heat) Load(v []byte) {
	for i := range min(len(h), len(v)/heatWordBytes) {
		h[i].Store(binary.LittleEndian.Uint32(v[i*heatWordBytes:]))
	}
}
