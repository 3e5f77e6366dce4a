package disk

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"github.com/zonecache/cached/tiers/disk/evict"
)

// reclaim frees the segment whose turn it is, or spares it. The order of the
// steps does not matter to a reader or after a crash: an entry without its
// segment is a miss, a file without its record is removed by the next Open.
func (w *writer) reclaim(mode evict.Mode) error {
	s, ok := w.policy.Pop()
	if !ok {
		return errNoRoom
	}
	live, err := w.live(s)
	if err != nil {
		w.policy.Push(s)
		return err
	}
	fate := w.policy.Decide(mode, s, live, w.t.opts.Kept)
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	if fate.Spared {
		w.policy.Spare(s)
		if err := putSegment(batch, s, s.Used); err != nil {
			return err
		}
		return w.t.index.apply(batch, pebble.NoSync)
	}
	before := len(w.moves)
	w.noteKeptLost(fate.Lost)
	kept := w.rescue(s, fate.Rewrite)
	err = erase(batch, s.id, live)
	if err == nil {
		err = w.t.index.apply(batch, pebble.NoSync)
	}
	if err != nil {
		// The segment stays, with all that is in it.
		for _, b := range w.moves[before:] {
			w.t.queue.done(b.ID())
		}
		w.moves = w.moves[:before]
		w.policy.Push(s)
		return err
	}
	for _, r := range live {
		if !kept[r.Offset] {
			w.policy.Ghost.Add(r.ID)
			w.t.counters.evicted.Add(1)
			w.t.counters.evictedBytes.Add(int64(r.Length))
		}
	}
	return w.discard(s)
}

// live returns the records of s that the index still points at.
func (w *writer) live(s *segment) ([]record, error) {
	all, err := w.t.index.records(s.id)
	if err != nil {
		return nil, err
	}
	live := all[:0]
	for _, r := range all {
		l, ok, err := w.t.index.get(r.ID)
		if err != nil {
			return nil, err
		}
		if ok && l == (location{s.id, r.Offset, r.Length}) {
			live = append(live, r)
		}
	}
	return live, nil
}

// rescue reads blocks of s into memory, where readers find them until they are
// committed to the main log, and returns their offsets.
func (w *writer) rescue(s *segment, list []record) map[uint32]bool {
	kept := map[uint32]bool{}
	for _, r := range list {
		b, err := w.t.readAt(s, r.ID, location{s.id, r.Offset, r.Length})
		if err != nil {
			continue // counted; it goes with the segment
		}
		if w.t.queue.adopt(b) {
			kept[r.Offset] = true
			w.moves = append(w.moves, b)
		}
	}
	return kept
}

// noteKeptLost says that blocks go which should have been kept.
func (w *writer) noteKeptLost(list []record) {
	if len(list) > 0 {
		w.t.log.Warn("disk: blocks that were to be kept are evicted: there is no room for them", "blocks", len(list), "dir", w.t.opts.Dir)
	}
}

// free reclaims until a segment has gone.
func (w *writer) free(mode evict.Mode) error {
	for was := w.segBytes; w.segBytes >= was; {
		if err := w.reclaim(mode); err != nil {
			return err
		}
	}
	return nil
}

// erase removes a segment and its live blocks from the index.
func erase(batch *pebble.Batch, segment uint64, live []record) error {
	var errs []error
	for _, r := range live {
		key := blockKey(r.ID)
		errs = append(errs, batch.Delete(key[:], nil))
	}
	prefix := segmentKey(recordsPrefix, segment)
	errs = append(errs, batch.DeleteRange(prefix[:], after(prefix[:]), nil))
	for _, kind := range []byte{segmentPrefix, heatPrefix} {
		key := segmentKey(kind, segment)
		errs = append(errs, batch.Delete(key[:], nil))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("index batch: %w", err)
	}
	return nil
}

// discard closes and removes the file of s. A reader in it finishes; one that
// comes later finds the segment gone.
func (w *writer) discard(s *segment) error {
	w.t.segments.remove(s)
	errClose := s.file.Close()
	err := w.t.files.Remove(segmentPath(w.t.segmentDir(), s.id))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, errClose) // its bytes stay counted until the next Open
	}
	w.segBytes -= s.Size
	w.t.used.Store(w.segBytes + w.indexBytes)
	return errClose
}

// purgeOrphan removes one segment whose file was gone at Open from the index.
func (w *writer) purgeOrphan() error {
	if len(w.orphans) == 0 {
		return nil
	}
	id := w.orphans[0]
	w.orphans = w.orphans[1:]
	live, err := w.live(&segment{id: id})
	if err != nil {
		return err
	}
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	if err := erase(batch, id, live); err != nil {
		return err
	}
	w.t.counters.lost.Add(int64(len(live)))
	return w.t.index.apply(batch, pebble.NoSync)
}
