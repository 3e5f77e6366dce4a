package prefetch

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zonecache/cached/block"
)

// ErrPack: the bytes are no pack this program can use.
var ErrPack = errors.New("invalid pack")

// A Pack is the essential blocks of a workload laid together, in the order of
// their first touch, in parts: blocks of up to [PartSize] that hold several. A far
// origin is asked a few times for all of them.
type Pack struct {
	Image block.ID // the manifest
	Parts []Part
}

// PartSize is how many bytes a part has at most. A link of 200 Mbit/s carries so many in
// 21 ms, which is how long a program's own read may wait behind one.
const PartSize = 512 << 10

// A Part is a block that holds others, end to end.
type Part struct {
	ID     block.ID
	Blocks []uint32 // their indexes in the image
}

// The encoding of what a pack consists of, which is a block itself, integers
// big-endian, varints as of encoding/binary:
//
//	magic "cachedpk" · version u8 · image [32] · uvarint count of parts, each:
//	id [32] · uvarint count of blocks · per block the varint of its index less the
//	one before
const (
	packMagic   = "cachedpk"
	packVersion = 1
	packHead    = len(packMagic) + 1 + len(block.ID{})
)

// Encode returns what the pack consists of, as a block's bytes.
func (p *Pack) Encode() ([]byte, error) {
	out := append(append([]byte(packMagic), packVersion), p.Image[:]...)
	out = binary.AppendUvarint(out, uint64(len(p.Parts)))
	last := int64(0)
	for _, part := range p.Parts {
		out = append(out, part.ID[:]...)
		out = binary.AppendUvarint(out, uint64(len(part.Blocks)))
		for _, i := range part.Blocks {
			out = binary.AppendVarint(out, int64(i)-last)
			last = int64(i)
		}
	}
	if len(out) > block.MaxSize {
		return nil, fmt.Errorf("%w: %d parts take %d bytes, at most %d are kept", ErrPack, len(p.Parts), len(out), block.MaxSize)
	}
	return out, nil
}

// DecodePack reads what [Pack.Encode] wrote for an image of so many blocks. Errors
// match ErrPack.
func DecodePack(in []byte, blocks int) (*Pack, error) {
	if len(in) < packHead || string(in[:len(packMagic)]) != packMagic {
		return nil, fmt.Errorf("%w: %d bytes that do not begin with %q", ErrPack, len(in), packMagic)
	}
	if v := in[len(packMagic)]; v != packVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads version %d; use a newer program", ErrPack, v, packVersion)
	}
	d := packDecoder{rest: in[packHead:], blocks: blocks, seen: make(map[uint32]bool)}
	p := &Pack{Image: block.ID(in[len(packMagic)+1:][:len(block.ID{})])}
	for range d.count("parts", len(block.ID{})+2) {
		p.Parts = append(p.Parts, d.part())
	}
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes behind the last part", len(d.rest))
	}
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPack, d.err)
	}
	return p, nil
}

// A packDecoder takes values off the front of rest until the first error.
type packDecoder struct {
	rest   []byte
	blocks int
	last   int64
	seen   map[uint32]bool
	err    error
}

func (d *packDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// count reads a number of things that take so many bytes each, and believes it as
// far as there are bytes.
func (d *packDecoder) count(what string, each int) int {
	if d.err != nil {
		return 0
	}
	n, used := binary.Uvarint(d.rest)
	if used <= 0 || n > uint64(len(d.rest)/each) {
		d.fail("%d %s in %d bytes", n, what, len(d.rest))
		return 0
	}
	d.rest = d.rest[used:]
	return int(n)
}

func (d *packDecoder) part() (p Part) {
	if len(d.rest) < len(p.ID) {
		d.fail("truncated")
	}
	if d.err != nil {
		return p
	}
	p.ID = block.ID(d.rest[:len(p.ID)])
	d.rest = d.rest[len(p.ID):]
	for range d.count("blocks", 1) {
		step, used := binary.Varint(d.rest)
		if used <= 0 {
			d.fail("truncated")
			return p
		}
		d.rest = d.rest[used:]
		d.last += step
		if d.last < 0 || d.last >= int64(d.blocks) || d.seen[uint32(d.last)] {
			d.fail("block %d, once more or of %d", d.last, d.blocks)
			return p
		}
		d.seen[uint32(d.last)] = true
		p.Blocks = append(p.Blocks, uint32(d.last))
	}
	return p
}

// Lay says which blocks go together into the parts of a pack: those that are to be
// read in this order, as many as fit into each.
func Lay(order []uint32, blocks []Block) (parts [][]uint32) {
	size := PartSize
	for _, i := range order {
		if int(i) >= len(blocks) {
			continue
		}
		if size += blocks[i].Length; size > PartSize {
			parts = append(parts, nil)
			size = blocks[i].Length
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], i)
	}
	return parts
}

// Moved returns which share of the bytes that are essential now is not in the
// pack, or of the pack's no longer is, whichever is more: what a new one is for.
func (p *Pack) Moved(order []uint32, blocks []Block) float64 {
	in, want := map[uint32]bool{}, map[uint32]bool{}
	var packed, essential, both int
	for _, part := range p.Parts {
		for _, i := range part.Blocks {
			if int(i) < len(blocks) && !in[i] {
				in[i] = true
				packed += blocks[i].Length
			}
		}
	}
	for _, i := range order {
		if int(i) >= len(blocks) || want[i] {
			continue
		}
		want[i] = true
		essential += blocks[i].Length
		if in[i] {
			both += blocks[i].Length
		}
	}
	if most := max(packed, essential); most > 0 {
		return 1 - float64(both)/float64(most)
	}
	return 0
}
