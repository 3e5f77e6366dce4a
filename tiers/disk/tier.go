package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// A Tier is a directory of blocks on a local disk. All methods may be called
// at once.
type Tier struct {
	opts      Options
	log       *slog.Logger
	files     fileSystem
	pool      *block.Pool
	lock      *os.File
	patient   *patience
	index     *index
	segments  segmentTable
	queue     *queue
	budget    *budget
	health    health
	counters  counters
	gate      gate
	abandoned atomic.Int64 // reads nobody waits for any more
	lateness  lateness
	readOnly  bool
	noRoom    atomic.Bool  // the last block found no room for a segment
	used      atomic.Int64 // bytes on disk, as of the last commit

	writer *writer // nil when readOnly
}

var _ block.Store = (*Tier)(nil)

// Capacity returns the bytes the tier may occupy.
func (t *Tier) Capacity() int64 { return t.opts.Capacity }

// Used returns the bytes the tier occupies on disk, all files included.
func (t *Tier) Used() int64 { return t.used.Load() }

// WriteBlock implements [block.Writer]. It costs a map insertion: the block is
// retained and readable at once, and written later. It is declined, silently
// but counted, while too many bytes are on their way, while the disk refuses
// writes, and beyond the write budget.
func (t *Tier) WriteBlock(_ context.Context, b block.Block) error {
	switch {
	case b.Len() == 0:
	case t.readOnly || t.health.sick.Load():
		t.counters.declinedSick.Add(1)
	case !t.budget.allows():
		t.counters.declinedBudget.Add(1)
	case t.queue.offer(b) == full:
		t.counters.declinedFull.Add(1)
	}
	return nil
}

// Settle returns when every block accepted before the call is durable, or
// given up because the disk refused it.
func (t *Tier) Settle() {
	if t.writer != nil {
		t.writer.settle()
	}
}

// Close writes out what was accepted and leaves the directory to the next
// Open. It waits for reads in progress; later ones fail with
// [block.ErrUnavailable]. While the disk refuses writes it does not wait for
// it: what was accepted is then lost, as in a crash.
func (t *Tier) Close() error {
	if !t.gate.close() {
		return nil
	}
	t.queue.close()
	t.patient.hurry()
	if t.writer != nil {
		t.writer.close()
	}
	t.counters.lost.Add(int64(t.queue.drain()))
	t.gate.wait()
	t.lateness.close()
	errs := []error{t.index.close()}
	for _, s := range t.segments.all() {
		errs = append(errs, s.file.Close())
	}
	errs = append(errs, t.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("disk: close %s: %w", t.opts.Dir, err)
	}
	return nil
}
