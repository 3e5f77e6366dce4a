package image

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/zonecache/cached/block"
)

// level is pinned, because it decides the bytes, and so the names, of blocks.
// docs/adr/0001 has the measurement.
const level = zstd.SpeedDefault

// worthIt is the most a compressed block may have of its raw bytes, as a
// fraction of 16, to be stored so: below that the saved bytes do not pay for decoding.
const worthIt = 14

// newEncoder returns an encoder of single blocks; it may be used concurrently by
// up to n goroutines.
func newEncoder(n int) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithEncoderConcurrency(n),
		zstd.WithWindowSize(block.MaxSize),
		zstd.WithSingleSegment(true), // the frame states its size, a decoder needs no window
		zstd.WithEncoderCRC(false),   // the block's name is its checksum
	)
}

// newDecoder returns a decoder whose output never exceeds the destination's
// capacity, whatever the input claims.
func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(block.MaxSize),
		zstd.WithDecoderMaxWindow(block.MaxSize),
	)
}

// encode returns the stored form of raw as a block, taking over raw.
func encode(enc *zstd.Encoder, pool *block.Pool, raw *block.Buffer) (block.Block, BlockRef) {
	length := len(raw.Bytes())
	limit := length * worthIt / 16
	if limit > 0 {
		// Room for the whole input, so that the encoder does not allocate.
		out := pool.Get(length)
		packed := enc.EncodeAll(raw.Bytes(), out.Full()[:0])
		if len(packed) <= limit && &packed[0] == &out.Full()[0] {
			raw.Release()
			out.Slice(0, len(packed))
			id := block.Sum(packed)
			return out.Seal(id, block.Origin), BlockRef{ID: id, Stored: uint32(len(packed)), Length: uint32(length), Encoding: Zstd}
		}
		out.Release()
	}
	id := block.Sum(raw.Bytes())
	return raw.Seal(id, block.Origin), BlockRef{ID: id, Stored: uint32(length), Length: uint32(length), Encoding: Raw}
}

// decode writes the image's bytes that stored stands for to dst, which has
// exactly ref.Length bytes.
func decode(dec *zstd.Decoder, dst, stored []byte, ref BlockRef) error {
	var n int
	switch ref.Encoding {
	case Raw:
		n = copy(dst, stored)
		if len(stored) != len(dst) {
			n = len(stored)
		}
	case Zstd:
		out, err := dec.DecodeAll(stored, dst[:0:len(dst)])
		if err != nil {
			return fmt.Errorf("image: block %s: decode: %w: %w", ref.ID, err, block.ErrCorrupt)
		}
		n = len(out)
	default:
		return fmt.Errorf("image: block %s: unknown %s: %w", ref.ID, ref.Encoding, block.ErrCorrupt)
	}
	if n != len(dst) {
		return fmt.Errorf("image: block %s: %d bytes after decoding where the manifest says %d: %w", ref.ID, n, len(dst), block.ErrCorrupt)
	}
	return nil
}
