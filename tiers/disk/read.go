package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/zonecache/cached/block"
)

// A readError names the block only when somebody prints it: misses are part of
// normal work.
type readError struct {
	id    block.ID
	cause error
}

func (e *readError) Error() string { return fmt.Sprintf("disk: read %s: %v", e.id, e.cause) }
func (e *readError) Unwrap() error { return e.cause }

var errMoved = errors.New("segment reclaimed")

// ReadBlock implements [block.Reader]. A block on its way to the disk is
// answered from memory; any other costs an index lookup and one read, whose
// bytes are hashed before they are served. Bytes that do not hash to id are
// [block.ErrCorrupt], once: the entry is forgotten. A disk that does not answer
// within Options.ReadTimeout is [block.ErrUnavailable].
func (t *Tier) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	if err := ctx.Err(); err != nil {
		return block.Block{}, err
	}
	if !t.gate.enter() {
		return block.Block{}, &readError{id, fmt.Errorf("tier is closed: %w", block.ErrUnavailable)}
	}
	if b, ok := t.queue.lookup(id); ok {
		t.gate.leave()
		return b.WithFrom(block.Disk), nil
	}
	b, err := t.readDisk(ctx, id)
	if err != nil {
		return block.Block{}, &readError{id, err}
	}
	return b, nil
}

// Has reports whether the tier holds the block, as far as its index knows. It does
// not read the block.
func (t *Tier) Has(id block.ID) bool {
	if !t.gate.enter() {
		return false
	}
	defer t.gate.leave()
	if b, ok := t.queue.lookup(id); ok {
		b.Release()
		return true
	}
	_, ok, err := t.index.get(id)
	return ok && err == nil
}

// search finds id wherever the writer may be moving it.
func (t *Tier) search(id block.ID) (block.Block, error) {
	b, err := t.find(id)
	if errors.Is(err, errMoved) {
		// Between our look at the index and at the segment the writer reclaimed
		// it. What it kept is pending or has a new entry by now.
		b, err = t.find(id)
	}
	if errors.Is(err, errMoved) {
		err = block.ErrNotFound
	}
	return b, err
}

// find looks once at the queue, then the index: in this order, because the
// writer drops a block from the queue only after its entry is in the index.
func (t *Tier) find(id block.ID) (block.Block, error) {
	if b, ok := t.queue.lookup(id); ok {
		return b.WithFrom(block.Disk), nil
	}
	l, ok, err := t.index.get(id)
	if err != nil {
		t.counters.readErrors.Add(1)
		return block.Block{}, fmt.Errorf("index: %w: %w", block.ErrUnavailable, err)
	}
	if !ok {
		return block.Block{}, block.ErrNotFound
	}
	s := t.segments.get(l.segment)
	if s == nil {
		return block.Block{}, errMoved
	}
	b, err := t.readAt(s, id, l)
	if err != nil {
		return block.Block{}, err
	}
	s.Heat.Bump(l.offset)
	return b, nil
}

// readAt reads the sectors around the block straight into the buffer that will
// be served, and checks every byte of it. Any failure but a race with the
// writer makes the entry forgotten, so that the block can be stored anew.
func (t *Tier) readAt(s *segment, id block.ID, l location) (block.Block, error) {
	start := sectorsDown(int64(l.offset))
	end := sectorsUp(int64(l.offset) + int64(l.length))
	buf := t.pool.Get(int(end - start))
	_, err := s.file.ReadAt(buf.Bytes(), start)
	switch {
	case errors.Is(err, os.ErrClosed):
		buf.Release()
		return block.Block{}, errMoved
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		buf.Release()
		return block.Block{}, t.corrupt(id, l, "segment ends before it")
	case err != nil:
		buf.Release()
		t.counters.readErrors.Add(1)
		t.queue.forget(id, l)
		return block.Block{}, fmt.Errorf("%w: %w", block.ErrUnavailable, err)
	}
	buf.Slice(int(int64(l.offset)-start), int(l.length))
	if block.Sum(buf.Bytes()) != id {
		buf.Release()
		return block.Block{}, t.corrupt(id, l, "bytes do not match")
	}
	return buf.Seal(id, block.Disk), nil
}

// loudDamage is how many damaged blocks are logged one by one; later ones are once
// in as many.
const loudDamage = 20

func (t *Tier) corrupt(id block.ID, l location, what string) error {
	n := t.counters.corrupt.Add(1)
	t.queue.forget(id, l)
	// A rotten disk must not flood the log; the metrics count them all.
	level := slog.LevelDebug
	if n <= loudDamage || n%loudDamage == 0 {
		level = slog.LevelWarn
	}
	t.log.Log(context.Background(), level, "disk: damaged block forgotten", "id", id.String(), "what", what, "so_far", n,
		"segment", l.segment, "offset", l.offset, "length", l.length)
	return fmt.Errorf("segment %d at %d: %s: %w", l.segment, l.offset, what, block.ErrCorrupt)
}
