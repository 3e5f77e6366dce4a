package disk

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/zonecache/cached/block"
)

// commit makes every appended block durable: first the bytes, then the entries
// that point at them. A crash between the two loses blocks; the order is a
// courtesy to the hit rate, for a read trusts neither.
func (w *writer) commit() error {
	for i := range w.appenders {
		w.appenders[i].flush()
	}
	if err := w.stages.wait(); err != nil {
		return err
	}
	if len(w.written) == 0 {
		return nil
	}
	touched := w.touched()
	for _, s := range touched {
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	if err := w.describe(batch, touched); err != nil {
		return err
	}
	if err := w.t.index.apply(batch, pebble.Sync); err != nil {
		return err
	}
	for _, p := range w.written {
		p.seg.Used = sectorsUp(int64(p.Offset) + int64(p.Length))
		w.t.queue.done(p.ID)
	}
	for _, s := range w.filled {
		w.policy.Push(s)
	}
	w.written, w.filled, w.pendBytes = w.written[:0], w.filled[:0], 0
	w.count()
	if w.t.health.heal() {
		w.t.log.Info("disk: writing works again", "dir", w.t.opts.Dir)
	}
	return nil
}

// touched returns the segments with appended blocks, in the order written.
func (w *writer) touched() []*segment {
	var list []*segment
	seen := map[*segment]bool{}
	for _, p := range w.written {
		if !seen[p.seg] {
			seen[p.seg] = true
			list = append(list, p.seg)
		}
	}
	return list
}

// describe puts the entries of all appended blocks into batch.
func (w *writer) describe(batch *pebble.Batch, touched []*segment) error {
	for _, s := range touched {
		var first, end uint32
		var records []byte
		for _, p := range w.written {
			if p.seg != s {
				continue
			}
			if records == nil {
				first = p.Offset
			}
			records = appendRecord(records, p.record)
			end = p.Offset + p.Length
			key := blockKey(p.ID)
			value := location{s.id, p.Offset, p.Length}.encode()
			if err := batch.Set(key[:], value[:], nil); err != nil {
				return fmt.Errorf("index batch: %w", err)
			}
		}
		key := recordsKey(s.id, first)
		if err := batch.Set(key[:], records, nil); err != nil {
			return fmt.Errorf("index batch: %w", err)
		}
		if err := putSegment(batch, s, sectorsUp(int64(end))); err != nil {
			return err
		}
	}
	return nil
}

// putSegment records s, with used bytes committed.
func putSegment(batch *pebble.Batch, s *segment, used int64) error {
	key := segmentKey(segmentPrefix, s.id)
	value := segmentRecord{log: s.Log, order: s.Order, used: uint32(used)}.encode()
	if err := batch.Set(key[:], value[:], nil); err != nil {
		return fmt.Errorf("index batch: %w", err)
	}
	return nil
}

// count brings the public counters up to date.
func (w *writer) count() {
	var n int64
	for i := range w.appenders {
		n += w.appenders[i].written
		w.appenders[i].written = 0
	}
	w.t.counters.bytesWritten.Add(n)
	w.measure()
}

// measure looks up how much disk the tier occupies.
func (w *writer) measure() {
	w.indexBytes = w.t.index.diskSize()
	w.t.used.Store(w.segBytes + w.indexBytes)
}

// forget removes entries that led to wrong bytes, unless they were replaced.
func (w *writer) forget(entries map[block.ID]location) error {
	if len(entries) == 0 {
		return nil
	}
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	for id, l := range entries {
		now, ok, err := w.t.index.get(id)
		if err != nil || !ok || now != l {
			continue
		}
		key := blockKey(id)
		if err := batch.Delete(key[:], nil); err != nil {
			return fmt.Errorf("index batch: %w", err)
		}
	}
	return w.t.index.apply(batch, pebble.NoSync)
}

// saveState writes, at a clean end, what a crash may lose: the heat of every
// segment. Open segments give back the space they did not use.
func (w *writer) saveState() error {
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	for _, s := range w.t.segments.all() {
		key := segmentKey(heatPrefix, s.id)
		if err := batch.Set(key[:], s.Heat.Encode(), nil); err != nil {
			return fmt.Errorf("index batch: %w", err)
		}
	}
	for i := range w.appenders {
		s := w.appenders[i].seg
		if s == nil {
			continue
		}
		w.appenders[i].close()
		if s.Used == 0 {
			if err := w.discard(s); err != nil {
				return err
			}
			continue
		}
		if err := s.file.Truncate(s.Used); err != nil {
			return err
		}
	}
	return w.t.index.apply(batch, pebble.Sync)
}
