package disk

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/zonecache/cached/block"
)

// A dropping is blocks that the writer is to remove.
type dropping struct {
	ids  []block.ID
	done chan struct{} // closed once the rest is there
	gone []block.ID
	err  error
}

// Drop removes blocks, durably, and returns which of them the tier held. A read in
// progress is not hindered: it has the bytes, or finds the block gone. The space is
// free at once where nothing else is in a segment, else when its turn comes.
//
// Errors: [block.ErrUnavailable] while the disk refuses writes or the tier is closed,
// ctx's; what is dropped is then not known.
func (t *Tier) Drop(ctx context.Context, ids []block.ID) ([]block.ID, error) {
	if t.writer == nil {
		return nil, fmt.Errorf("disk: drop blocks: its file system is read-only: %w", block.ErrUnavailable)
	}
	d := &dropping{ids: ids, done: make(chan struct{}), err: block.ErrUnavailable}
	select {
	case t.writer.drops <- d:
	case <-t.writer.stop:
		return nil, fmt.Errorf("disk: drop blocks: %w", errClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-d.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.err != nil {
		return nil, fmt.Errorf("disk: drop blocks: %w", d.err)
	}
	return d.gone, nil
}

// drop does it, after all that is on its way was written.
func (w *writer) drop(d *dropping) error {
	if err := w.commit(); err != nil {
		return err
	}
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	touched := map[*segment]bool{}
	var gone []block.ID
	for _, id := range d.ids {
		l, ok, err := w.t.index.get(id)
		if err != nil {
			return err
		}
		s := w.t.segments.get(l.segment)
		if !ok || s == nil {
			continue
		}
		key := blockKey(id)
		if err := batch.Delete(key[:], nil); err != nil {
			return fmt.Errorf("index batch: %w", err)
		}
		touched[s] = true
		gone = append(gone, id)
	}
	if err := w.t.index.apply(batch, pebble.Sync); err != nil {
		return err
	}
	for s := range touched {
		if err := w.discardEmpty(s); err != nil {
			return err
		}
	}
	d.gone, d.err = gone, nil
	return nil
}

// discardEmpty removes a segment in which no block is left, unless it is being
// written.
func (w *writer) discardEmpty(s *segment) error {
	live, err := w.live(s)
	if err != nil || len(live) > 0 || !w.policy.Remove(s) {
		return err
	}
	batch := w.t.index.db.NewBatch()
	defer func() { _ = batch.Close() }()
	if err := erase(batch, s.id, nil); err != nil {
		return err
	}
	if err := w.t.index.apply(batch, pebble.NoSync); err != nil {
		return err
	}
	return w.discard(s)
}
