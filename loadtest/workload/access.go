package workload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// An Access is one read of a public trace of blocks or of a cache.
type Access struct {
	At     time.Duration // since the first of the trace; never less than that of the one before
	Object uint64        // what is read: the same number for the same thing
	Size   uint32        // bytes
}

// The forms of traces that are read.
const (
	// FormOracle is libCacheSim's oracleGeneral: records of 24 bytes, little-endian:
	// time in seconds u32 · object u64 · size u32 · index of the object's next access
	// i64, -1 or the largest number where there is none.
	FormOracle = "oracle"
	// FormCacheLib is the table of Meta's block storage traces: op_time, block_id,
	// block_id_size, io_size, io_offset, user_name, user_namespace, op_name, op_count,
	// host_name, rs_shard_id. Its reads (getChunkData) are taken apart into pieces of
	// [CacheLibPiece].
	FormCacheLib = "cachelib"
)

// CacheLibPiece is how large the pieces are that a read of a CacheLib trace touches.
const CacheLibPiece = 256 << 10

// Accesses reads a trace of one of the forms, which may be compressed by zstd as the
// public ones are. Iteration ends with the first error.
func Accesses(r io.Reader, form string) iter.Seq2[Access, error] {
	return func(yield func(Access, error) bool) {
		plain, stop, err := decompressed(r)
		if err != nil {
			yield(Access{}, err)
			return
		}
		defer stop()
		switch form {
		case FormOracle:
			oracle(plain, yield)
		case FormCacheLib:
			cacheLib(plain, yield)
		default:
			yield(Access{}, fmt.Errorf("form %.40q: want %s or %s", form, FormOracle, FormCacheLib))
		}
	}
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// maxWindow is the largest window of zstd that is taken: what `zstd --long` uses.
const maxWindow = 128 << 20

func decompressed(r io.Reader) (plain io.Reader, stop func(), err error) {
	head, r, err := peek(r, len(zstdMagic))
	if err != nil || !bytes.Equal(head, zstdMagic) {
		return r, func() {}, err
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

const oracleRecord = 24

func oracle(r io.Reader, yield func(Access, error) bool) {
	var first, last uint32
	var rec [oracleRecord]byte
	for i := int64(0); ; i++ {
		n, err := io.ReadFull(r, rec[:])
		switch {
		case err == io.EOF && i > 0:
			return
		case err == io.EOF:
			yield(Access{}, malformed("it is empty"))
			return
		case err == io.ErrUnexpectedEOF:
			yield(Access{}, malformed("record %d has %d of %d bytes: cut off, or no oracleGeneral trace", i, n, oracleRecord))
			return
		case err != nil:
			yield(Access{}, fmt.Errorf("record %d: %w", i, err))
			return
		}
		at, size := binary.LittleEndian.Uint32(rec[:]), binary.LittleEndian.Uint32(rec[12:])
		if i == 0 {
			first, last = at, at
		}
		if at < last {
			yield(Access{}, malformed("record %d is of second %d, the one before of %d: no oracleGeneral trace", i, at, last))
			return
		}
		if next := int64(binary.LittleEndian.Uint64(rec[16:])); next != -1 && next != math.MaxInt64 && next <= i {
			yield(Access{}, malformed("record %d says that its object comes next at %d: no oracleGeneral trace", i, next))
			return
		}
		last = at
		if size == 0 {
			continue // as libCacheSim does
		}
		if !yield(Access{At: time.Duration(at-first) * time.Second, Object: binary.LittleEndian.Uint64(rec[4:]), Size: size}, nil) {
			return
		}
	}
}

var cacheLibColumns = []string{"op_time", "block_id", "io_size", "io_offset", "op_name", "op_count", "rs_shard_id"}

// Limits of one row of a CacheLib trace.
const (
	maxIOSize  = 1 << 30
	maxOpCount = 1 << 20
)

func cacheLib(r io.Reader, yield func(Access, error) bool) {
	t, err := openTable(r)
	if err == nil && !t.has(cacheLibColumns...) {
		err = malformed("line 1: it does not name the columns %s: no block trace of CacheLib", strings.Join(cacheLibColumns, ", "))
	}
	first, last := -1.0, 0.0
	for err == nil {
		if err = t.next(); err != nil {
			break
		}
		var op cacheLibRead
		if op, err = t.cacheLibRead(); err != nil || !op.reads {
			continue
		}
		if first < 0 {
			first, last = op.at, op.at
		}
		if op.at < last {
			err = t.wrong("op_time", "no earlier time than the row before has, %g", last)
			continue
		}
		last = op.at
		if !op.pieces(seconds(op.at-first), yield) {
			return
		}
	}
	if !errors.Is(err, io.EOF) {
		yield(Access{}, err)
	} else if first < 0 {
		yield(Access{}, malformed("it has no row that reads (getChunkData)"))
	}
}

// A cacheLibRead is a row of a CacheLib trace.
type cacheLibRead struct {
	reads        bool
	at           float64
	name         string // of the block and its shard
	offset, size uint64
	times        uint64
}

func (t *table) cacheLibRead() (op cacheLibRead, err error) {
	if op.at, err = t.number("op_time", 0, farSeconds); err != nil {
		return op, err
	}
	if op.size, err = t.whole("io_size", maxIOSize); err != nil {
		return op, err
	}
	if op.offset, err = t.whole("io_offset", math.MaxInt64/2); err != nil {
		return op, err
	}
	if op.times, err = t.whole("op_count", maxOpCount); err != nil {
		return op, err
	}
	op.reads = strings.HasPrefix(t.text("op_name"), "getChunkData") && op.size > 0 && op.times > 0
	op.name = t.text("block_id") + "/" + t.text("rs_shard_id")
	return op, nil
}

// pieces yields the pieces that the row reads, as often as it does.
func (op cacheLibRead) pieces(at time.Duration, yield func(Access, error) bool) bool {
	for range op.times {
		for i := op.offset / CacheLibPiece; i <= (op.offset+op.size-1)/CacheLibPiece; i++ {
			h := fnv.New64a()
			fmt.Fprintf(h, "%s/%d", op.name, i)
			from, to := max(op.offset, i*CacheLibPiece), min(op.offset+op.size, (i+1)*CacheLibPiece)
			if !yield(Access{At: at, Object: h.Sum64(), Size: uint32(to - from)}, nil) {
				return false
			}
		}
	}
	return true
}

// AccessTimes returns the process of a list of accesses, in order. Those of the same
// second, which is as exactly as public traces tell, are spread over it evenly.
func AccessTimes(name string, list []Access) *Process {
	at := make([]time.Duration, len(list))
	for i := 0; i < len(list); {
		end := i + 1
		for end < len(list) && list[end].At == list[i].At {
			end++
		}
		for k := i; k < end; k++ {
			at[k] = list[k].At + time.Second*time.Duration(k-i)/time.Duration(end-i)
		}
		i = end
	}
	return &Process{text: "trace:" + name, length: at[len(at)-1] + 1, count: len(at), seq: func(*rand.Rand) iter.Seq[Arrival] {
		return func(yield func(Arrival) bool) {
			for _, t := range at {
				if !yield(Arrival{At: t}) {
					return
				}
			}
		}
	}}
}
