package disk

import (
	"errors"
	"syscall"

	"github.com/zonecache/cached/tiers/disk/evict"
)

// errNoRoom: nothing can be reclaimed and there is no room for a new segment.
var errNoRoom = errors.New("no room for a segment")

// openSegment starts the next segment of a log, reclaiming others first: the
// bounds hold at every moment, not only in the end.
func (w *writer) openSegment(log evict.Log) error {
	size := evict.SegmentSize(w.t.opts.Capacity)
	if err := w.makeRoom(size); err != nil {
		return err
	}
	id := w.nextSegment
	w.nextSegment++
	path := segmentPath(w.t.segmentDir(), id)
	file, err := w.t.files.Create(path, size)
	if errors.Is(err, syscall.ENOSPC) && w.policy.Len() > 0 {
		// Others filled the disk: live on in the space we have.
		if err := w.free(evict.Shrink); err != nil {
			return err
		}
		file, err = w.t.files.Create(path, size)
	}
	if err != nil {
		return err
	}
	s := &segment{id: id, file: file, since: w.t.opts.now(), Segment: evict.Segment{
		Heat: evict.NewHeat(size), Log: log, Order: w.policy.NextOrder(), Size: size,
	}}
	w.segBytes += size
	w.t.noRoom.Store(false)
	w.t.segments.add(s)
	w.appenders[log].open(s, size)
	w.t.used.Store(w.segBytes + w.indexBytes)
	return nil
}

// indexRoom is what the index may occupy: compactions write new tables beside
// the old ones, and there may be a few logs of a mem table each.
func (w *writer) indexRoom() int64 {
	return 2*w.indexBytes + 4*memTableSize(w.t.opts.Capacity)
}

// makeRoom reclaims until size more bytes keep the capacity and the watermark.
func (w *writer) makeRoom(size int64) error {
	w.measure()
	for w.segBytes+size+w.indexRoom() > w.t.opts.Capacity {
		if err := w.reclaimSome(evict.Rotate); err != nil {
			return err
		}
	}
	for {
		free, err := w.t.files.Free(w.t.opts.Dir)
		if err != nil {
			return err
		}
		if free-size-memTableSize(w.t.opts.Capacity) >= w.t.opts.MinFree {
			return nil
		}
		if err := w.reclaimSome(evict.Shrink); err != nil {
			return err
		}
	}
}

// reclaimSome reclaims a segment; those that are full but not committed are
// committed first when no other is left.
func (w *writer) reclaimSome(mode evict.Mode) error {
	if w.policy.Len() == 0 && len(w.filled) > 0 {
		if err := w.commit(); err != nil {
			return err
		}
	}
	return w.reclaim(mode)
}

// keepFree gives space back while others fill the disk.
func (w *writer) keepFree() error {
	for w.policy.Len() > 0 {
		free, err := w.t.files.Free(w.t.opts.Dir)
		if err != nil {
			return err
		}
		over := w.segBytes+w.indexBytes > w.t.opts.Capacity
		if free >= w.t.opts.MinFree && !over {
			return nil
		}
		if err := w.reclaim(evict.Shrink); err != nil {
			return err
		}
	}
	return nil
}
