package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/zonecache/cached/tiers/disk/evict"
)

// load builds the writer's view from the index's record of each segment, opens
// their files, and removes files nobody knows.
func (w *writer) load() error {
	known := map[uint64]segmentRecord{}
	err := w.t.index.each([]byte{segmentPrefix}, func(k, v []byte) error {
		id, err := segmentOfKey(k)
		if err != nil {
			return err
		}
		known[id], err = decodeSegmentRecord(v)
		return err
	})
	if err != nil {
		return w.unlessDamaged(err)
	}
	if err := w.sweep(known); err != nil {
		return err
	}
	var list []*segment
	for id, r := range known {
		w.nextSegment = max(w.nextSegment, id+1)
		s, err := w.openKnown(id, r)
		if err != nil {
			return w.unlessDamaged(err)
		}
		if s != nil {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *segment) int { return cmp.Compare(a.Order, b.Order) })
	for _, s := range list {
		w.segBytes += s.Size
		w.t.segments.add(s)
		w.policy.Restore(s)
	}
	w.policy.SetCapacity(w.t.opts.Capacity)
	w.measure()
	return nil
}

// unlessDamaged lets a tier open whose index is damaged: it answers misses.
func (w *writer) unlessDamaged(err error) error {
	if w.t.index.failed.Load() {
		return nil
	}
	return err
}

// sweep removes the files of segments that a crash kept from being recorded,
// or from being removed.
func (w *writer) sweep(known map[uint64]segmentRecord) error {
	dir := w.t.segmentDir()
	entries, err := os.ReadDir(dir)
	if w.t.readOnly {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := parseSegmentName(e.Name())
		w.nextSegment = max(w.nextSegment, id+1)
		if _, listed := known[id]; ok && listed {
			continue
		}
		if err := w.t.files.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// openKnown returns the segment, or nil if its file is gone.
func (w *writer) openKnown(id uint64, r segmentRecord) (*segment, error) {
	path := segmentPath(w.t.segmentDir(), id)
	file, err := w.t.files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		w.t.log.Warn("disk: a segment is gone; its blocks are misses", "segment", path)
		w.orphans = append(w.orphans, id)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	since := w.t.opts.now()
	if st, err := os.Stat(path); err == nil && st.ModTime().Before(since) { // before it is made shorter
		since = st.ModTime()
	}
	used := int64(r.used)
	size, err := file.Size()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if size < used {
		w.t.log.Warn("disk: a segment is shorter than recorded; blocks beyond its end are misses",
			"segment", path, "size", size, "recorded", used)
	}
	// A segment that was open in a crash gives back the space it did not use.
	if size > used && !w.t.readOnly {
		if err := file.Truncate(used); err != nil {
			return nil, errors.Join(fmt.Errorf("truncate %s: %w", path, err), file.Close())
		}
		size = used
	}
	s := &segment{id: id, file: file, since: since, Segment: evict.Segment{
		Heat: evict.NewHeat(max(size, used)), Log: r.log, Order: r.order, Size: size, Used: used,
	}}
	key := segmentKey(heatPrefix, id)
	v, closer, err := w.t.index.db.Get(key[:])
	if err == nil {
		s.Heat.Load(v)
		err = closer.Close()
	}
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, errors.Join(w.t.index.check(err), file.Close())
	}
	return s, nil
}
