package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/zonecache/cached/block"
)

// The index finds blocks: Pebble, holding some 80 bytes for each block and
// nothing of the blocks themselves. It is a hint: whatever it says, a read
// believes only bytes that hash to the id. So a damaged index costs hits, never
// wrong bytes, and is given up rather than repaired.
type index struct {
	db      *pebble.DB
	patient *patience
	log     *slog.Logger

	failed    atomic.Bool // damaged: neither read nor written any more
	onDamaged func(error)
}

type indexOptions struct {
	dir       string
	memTable  int64
	cache     int64
	readOnly  bool
	patient   *patience
	log       *slog.Logger
	fs        vfs.FS // of the operating system, unless a test injects faults
	onDamaged func(error)
}

// openIndex returns an error for any damage Pebble notices; it does not read
// the tables, so damage may also show later.
func openIndex(o indexOptions) (ix *index, err error) {
	ix = &index{patient: o.patient, log: o.log, onDamaged: o.onDamaged}
	defer func() {
		// Pebble panics on some inputs it did not write.
		if p := recover(); p != nil {
			ix, err = nil, fmt.Errorf("open index %s: %v", o.dir, p)
		}
	}()
	cache := pebble.NewCache(o.cache)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                 patientFS{FS: o.fs, patience: o.patient},
		FormatMajorVersion: pebble.FormatNewest,
		Cache:              cache,
		MemTableSize:       uint64(o.memTable),
		Logger:             pebbleLog{ix},
		ReadOnly:           o.readOnly,
		MaxOpenFiles:       256,
		EventListener: &pebble.EventListener{
			DataCorruption:  func(i pebble.DataCorruptionInfo) { ix.fail(fmt.Errorf("%s: %w", i.Path, i.Details)) },
			BackgroundError: ix.checkBackground,
		},
		Levels: [7]pebble.LevelOptions{{FilterPolicy: bloom.FilterPolicy(10)}},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(o.dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", o.dir, err)
	}
	ix.db = db
	o.patient.armed.Store(true)
	return ix, nil
}

// get returns where id lies; ok is false when the index does not know it.
func (ix *index) get(id block.ID) (l location, ok bool, err error) {
	if ix.failed.Load() {
		return location{}, false, nil
	}
	key := blockKey(id)
	v, closer, err := ix.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return location{}, false, nil
	}
	if err != nil {
		return location{}, false, ix.check(err)
	}
	l, err = decodeLocation(v)
	if err := closer.Close(); err != nil {
		return location{}, false, ix.check(err)
	}
	if err != nil {
		return location{}, false, ix.check(err)
	}
	return l, true, nil
}

// each calls f for every key with the prefix, in order; key and value are valid
// during the call only.
func (ix *index) each(prefix []byte, f func(key, value []byte) error) (err error) {
	if ix.failed.Load() {
		return nil
	}
	it, err := ix.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return ix.check(err)
	}
	defer func() {
		if cerr := it.Close(); err == nil && cerr != nil {
			err = ix.check(cerr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if err := f(it.Key(), it.Value()); err != nil {
			return ix.check(err)
		}
	}
	return ix.check(it.Error())
}

// after returns the first key beyond all that start with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// records returns all blocks ever committed to a segment, in order.
func (ix *index) records(segment uint64) (list []record, err error) {
	prefix := segmentKey(recordsPrefix, segment)
	err = ix.each(prefix[:], func(_, v []byte) (err error) {
		list, err = decodeRecords(list, v)
		return err
	})
	return list, err
}

// apply writes b as one, durably or as part of the next durable write.
func (ix *index) apply(b *pebble.Batch, how *pebble.WriteOptions) error {
	if ix.failed.Load() {
		return fmt.Errorf("index given up: %w", block.ErrUnavailable)
	}
	if err := ix.db.Apply(b, how); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// diskSize returns the bytes the index occupies on disk, obsolete files included.
func (ix *index) diskSize() int64 { return int64(ix.db.Metrics().DiskSpaceUsage()) }

func (ix *index) close() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("close index: %v", p)
		}
	}()
	if err := ix.db.Close(); err != nil && !ix.failed.Load() {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// check gives the index up when err says that it is damaged.
func (ix *index) check(err error) error {
	if err != nil && (pebble.IsCorruptionError(err) || errors.Is(err, errDecode)) {
		ix.fail(err)
	}
	return err
}

func (ix *index) checkBackground(err error) { _ = ix.check(err) }

func (ix *index) fail(err error) {
	if ix.failed.CompareAndSwap(false, true) {
		ix.onDamaged(err)
	}
}

// pebbleLog passes Pebble's errors on. Fatalf returns, which Pebble's code
// allows for: what it would die of here is a damaged index, and that is given up.
type pebbleLog struct{ ix *index }

func (l pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) {
	l.ix.log.Warn("disk index: " + fmt.Sprintf(format, args...))
}

func (l pebbleLog) Fatalf(format string, args ...any) {
	l.ix.fail(fmt.Errorf(format, args...))
}
