package prefetch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A Range is a part of an image's bytes that was read.
type Range struct{ Offset, Length uint64 }

// ErrOverlaybd: the bytes are no trace of overlaybd that can be used.
var ErrOverlaybd = errors.New("invalid overlaybd trace")

// The trace files of overlaybd (github.com/containerd/overlaybd, src/prefetch.cpp):
// C structures of a little-endian 64-bit machine, with their padding.
//
//	header: magic u32 · 4 bytes · length of the records u64 · checksum u32 · 4 bytes
//	record: operation u8, 'R' or 'W' · 3 bytes · layer u32 · length u64 · offset u64
//
// The checksum is the CRC-32C of the records, begun with 0 and not inverted.
const (
	overlaybdMagic  = 3270449184
	overlaybdHeader = 24
	overlaybdRecord = 24
	overlaybdRead   = 'R'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func overlaybdSum(p []byte) uint32 { return ^crc32.Update(^uint32(0), castagnoli, p) }

// DecodeOverlaybd returns what an overlaybd trace read, in order. An image of cached
// has one layer: reads of others are an error, writes are left out.
func DecodeOverlaybd(p []byte) ([]Range, error) {
	if len(p) < overlaybdHeader || binary.LittleEndian.Uint32(p) != overlaybdMagic {
		return nil, fmt.Errorf("%w: %d bytes that do not begin with its magic number", ErrOverlaybd, len(p))
	}
	records := p[overlaybdHeader:]
	if n := binary.LittleEndian.Uint64(p[8:]); n != uint64(len(records)) || n%overlaybdRecord != 0 {
		return nil, fmt.Errorf("%w: its header speaks of %d bytes of records, %d follow", ErrOverlaybd, n, len(records))
	}
	if sum, want := overlaybdSum(records), binary.LittleEndian.Uint32(p[16:]); sum != want {
		return nil, fmt.Errorf("%w: checksum %08x, want %08x: damaged", ErrOverlaybd, sum, want)
	}
	var ranges []Range
	for i := 0; len(records) > 0; i++ {
		r := records[:overlaybdRecord]
		records = records[overlaybdRecord:]
		if r[0] != overlaybdRead {
			continue
		}
		if layer := binary.LittleEndian.Uint32(r[4:]); layer != 0 {
			return nil, fmt.Errorf("%w: record %d reads layer %d, an image here has layer 0 only", ErrOverlaybd, i, layer)
		}
		ranges = append(ranges, Range{Length: binary.LittleEndian.Uint64(r[8:]), Offset: binary.LittleEndian.Uint64(r[16:])})
	}
	return ranges, nil
}

// EncodeOverlaybd returns a trace of reads that overlaybd replays.
func EncodeOverlaybd(ranges []Range) []byte {
	p := make([]byte, overlaybdHeader, overlaybdHeader+len(ranges)*overlaybdRecord)
	for _, r := range ranges {
		p = append(p, overlaybdRead, 0, 0, 0, 0, 0, 0, 0)
		p = binary.LittleEndian.AppendUint64(p, r.Length)
		p = binary.LittleEndian.AppendUint64(p, r.Offset)
	}
	binary.LittleEndian.PutUint32(p, overlaybdMagic)
	binary.LittleEndian.PutUint64(p[8:], uint64(len(p)-overlaybdHeader))
	binary.LittleEndian.PutUint32(p[16:], overlaybdSum(p[overlaybdHeader:]))
	return p
}
