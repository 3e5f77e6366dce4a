package disk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers/disk/evict"
)

// The index has four kinds of keys. Numbers in keys are big-endian, so that a
// scan meets segments, and the records of a segment, in order.
//
//	'b' id               -> location      where a block lies
//	's' segment          -> segmentRecord which log a segment belongs to
//	't' segment, offset  -> records       what one commit appended to a segment
//	'h' segment          -> heat words    saved by Close, for the next Open
const (
	blockPrefix   = 'b'
	segmentPrefix = 's'
	recordsPrefix = 't'
	heatPrefix    = 'h'
)

const (
	blockKeySize   = 1 + 32
	segmentKeySize = 1 + 8
	recordsKeySize = 1 + 8 + 4

	locationSize      = 8 + 4 + 4
	recordSize        = 32 + 4 + 4
	segmentRecordSize = 1 + 8 + 4
)

// errDecode marks a value of the index that this program did not write.
var errDecode = errors.New("index value damaged")

// A location says where a block's bytes lie.
type location struct {
	segment uint64
	offset  uint32
	length  uint32
}

// A record is one block within a segment.
type record = evict.Record

// A segmentRecord is what survives of a segment across a restart.
type segmentRecord struct {
	log   evict.Log
	order uint64 // position in the FIFO of its log
	used  uint32 // bytes committed, whole sectors
}

func blockKey(id block.ID) (k [blockKeySize]byte) {
	k[0] = blockPrefix
	copy(k[1:], id[:])
	return k
}

func segmentKey(prefix byte, segment uint64) (k [segmentKeySize]byte) {
	k[0] = prefix
	binary.BigEndian.PutUint64(k[1:], segment)
	return k
}

func recordsKey(segment uint64, offset uint32) (k [recordsKeySize]byte) {
	k[0] = recordsPrefix
	binary.BigEndian.PutUint64(k[1:], segment)
	binary.BigEndian.PutUint32(k[9:], offset)
	return k
}

func segmentOfKey(k []byte) (uint64, error) {
	if len(k) < segmentKeySize {
		return 0, fmt.Errorf("segment key of %d bytes: %w", len(k), errDecode)
	}
	return binary.BigEndian.Uint64(k[1:]), nil
}

func (l location) encode() (v [locationSize]byte) {
	binary.LittleEndian.PutUint64(v[0:], l.segment)
	binary.LittleEndian.PutUint32(v[8:], l.offset)
	binary.LittleEndian.PutUint32(v[12:], l.length)
	return v
}

func decodeLocation(v []byte) (location, error) {
	if len(v) != locationSize {
		return location{}, fmt.Errorf("location of %d bytes: %w", len(v), errDecode)
	}
	l := location{
		segment: binary.LittleEndian.Uint64(v[0:]),
		offset:  binary.LittleEndian.Uint32(v[8:]),
		length:  binary.LittleEndian.Uint32(v[12:]),
	}
	return l, checkExtent(l.offset, l.length)
}

// checkExtent keeps a damaged index from asking the pool for absurd buffers.
func checkExtent(offset, length uint32) error {
	if length == 0 || length > block.MaxSize || uint64(offset)+uint64(length) > evict.MaxSegmentSize {
		return fmt.Errorf("block of %d bytes at %d: %w", length, offset, errDecode)
	}
	return nil
}

func appendRecord(v []byte, r record) []byte {
	v = append(v, r.ID[:]...)
	v = binary.LittleEndian.AppendUint32(v, r.Offset)
	return binary.LittleEndian.AppendUint32(v, r.Length)
}

// decodeRecords appends the records of v to dst.
func decodeRecords(dst []record, v []byte) ([]record, error) {
	if len(v)%recordSize != 0 {
		return dst, fmt.Errorf("records of %d bytes: %w", len(v), errDecode)
	}
	for ; len(v) > 0; v = v[recordSize:] {
		r := record{
			ID:     block.ID(v[:32]),
			Offset: binary.LittleEndian.Uint32(v[32:]),
			Length: binary.LittleEndian.Uint32(v[36:]),
		}
		if err := checkExtent(r.Offset, r.Length); err != nil {
			return dst, err
		}
		dst = append(dst, r)
	}
	return dst, nil
}

func (r segmentRecord) encode() (v [segmentRecordSize]byte) {
	v[0] = byte(r.log)
	binary.LittleEndian.PutUint64(v[1:], r.order)
	binary.LittleEndian.PutUint32(v[9:], r.used)
	return v
}

func decodeSegmentRecord(v []byte) (segmentRecord, error) {
	if len(v) != segmentRecordSize {
		return segmentRecord{}, fmt.Errorf("segment record of %d bytes: %w", len(v), errDecode)
	}
	r := segmentRecord{
		log:   evict.Log(v[0]),
		order: binary.LittleEndian.Uint64(v[1:]),
		used:  binary.LittleEndian.Uint32(v[9:]),
	}
	if r.log >= evict.Logs || r.used > evict.MaxSegmentSize {
		return segmentRecord{}, fmt.Errorf("segment record %v: %w", r, errDecode)
	}
	return r, nil
}
