package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	formatFile   = "FORMAT"
	format       = "cached disk tier, format 1\n"
	damagedFile  = "DAMAGED" // the index must be given up at the next Open
	indexName    = "index"
	asideName    = "index.damaged"
	segmentsName = "segments"
)

func (t *Tier) segmentDir() string { return filepath.Join(t.opts.Dir, segmentsName) }
func (t *Tier) indexDir() string   { return filepath.Join(t.opts.Dir, indexName) }

// Open opens the tier in o.Dir, or makes one there. It reads the index's
// record of each segment and no block, so it takes the same moment whether the
// tier is empty or full. A damaged index is moved aside and the tier starts
// empty; on a read-only file system it serves what it holds and declines the
// rest.
func Open(o Options) (*Tier, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Tier{opts: o, log: o.Logger, pool: o.Pool, queue: newQueue(o.QueueBytes), budget: newBudget(o.WriteBudgetPerDay, o.now)}
	t.health.first = o.backoff
	t.segments.m = map[uint64]*segment{}
	if t.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	if err := t.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("disk: open %s: %w", o.Dir, err), t.lock.Close())
	}
	return t, nil
}

func (t *Tier) open() error {
	t.readOnly = errors.Is(unix.Access(t.opts.Dir, unix.W_OK), syscall.EROFS)
	if t.files = t.opts.files; t.files == nil {
		t.files = osFiles{readOnly: t.readOnly}
	}
	if t.readOnly {
		t.log.Warn("disk: the file system is read-only; serving what is there, declining new blocks", "dir", t.opts.Dir)
	}
	if err := t.checkFormat(); err != nil {
		return err
	}
	if err := t.openIndex(); err != nil {
		return err
	}
	w := newWriter(t)
	if err := w.load(); err != nil {
		for _, s := range t.segments.all() {
			err = errors.Join(err, s.file.Close())
		}
		return errors.Join(err, t.index.close())
	}
	t.lateness.start(t.opts.ReadTimeout)
	if !t.readOnly {
		t.writer = w
		w.start()
	}
	return nil
}

// lockDir opens and locks the directory itself, which works on any file system
// and leaves no file behind; the kernel drops the lock of a killed process.
func lockDir(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("disk: open %s: %s does not exist: mount the disk there or create it", dir, filepath.Dir(dir))
	} else if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("disk: open %s: %w", dir, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("disk: open %s: %w", dir, err)
	}
	if st, err := f.Stat(); err != nil || !st.IsDir() {
		return nil, errors.Join(fmt.Errorf("disk: open %s: not a directory", dir), err, f.Close())
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("another process uses it: stop that one (fuser -v names it) or give this one a directory of its own")
		}
		return nil, errors.Join(fmt.Errorf("disk: lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// checkFormat refuses what this program did not write, and marks a new tier.
func (t *Tier) checkFormat() error {
	path := filepath.Join(t.opts.Dir, formatFile)
	have, err := os.ReadFile(path)
	if err == nil {
		if string(have) == format {
			return nil
		}
		return fmt.Errorf("%s says %.60q, this program knows %q: run the version that wrote it, or empty the directory", path, have, format)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if t.readOnly {
		return errors.New("no tier there, and the file system is read-only")
	}
	entries, err := os.ReadDir(t.opts.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n := e.Name(); n != "lost+found" && n != formatFile+".new" {
			return fmt.Errorf("%s is not ours: give the tier an empty directory", filepath.Join(t.opts.Dir, n))
		}
	}
	if err := os.WriteFile(path+".new", []byte(format), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// openIndex opens Pebble; one that is damaged is moved aside, for whoever wants
// to know why, and the tier starts empty: its blocks are in the origin.
func (t *Tier) openIndex() error {
	marker := filepath.Join(t.opts.Dir, damagedFile)
	_, err := os.Stat(marker)
	if err == nil && !t.readOnly {
		if err := t.startAfresh(errors.New("damage was found while it was in use")); err != nil {
			return err
		}
	}
	if !t.readOnly {
		if err := os.MkdirAll(t.segmentDir(), 0o700); err != nil {
			return err
		}
	}
	if !t.readOnly {
		if err := t.makeRoomToOpen(); err != nil {
			return err
		}
	}
	if t.index, err = t.pebble(); err == nil {
		return nil
	}
	if t.readOnly || !blamesIndex(err) {
		return err
	}
	if err := t.startAfresh(err); err != nil {
		return err
	}
	t.index, err = t.pebble()
	return err
}

// makeRoomToOpen gives up the oldest segments on a full disk: Pebble writes when
// it opens, and repeats a refused flush for ever. The error is of a disk that is full of
// other things: where no segment is left nothing is lost by not opening.
func (t *Tier) makeRoomToOpen() error {
	need := 4 * memTableSize(t.opts.Capacity)
	entries, err := os.ReadDir(t.segmentDir()) // sorted by name, so by age
	for ; err == nil; entries = entries[1:] {
		free, ferr := t.files.Free(t.opts.Dir)
		switch {
		case ferr != nil:
			return fmt.Errorf("free space: %w", ferr)
		case free >= need:
			return nil
		case len(entries) == 0:
			return fmt.Errorf("the file system has %d bytes free, the index needs %d to open: %w", free, need, syscall.ENOSPC)
		}
		path := filepath.Join(t.segmentDir(), entries[0].Name())
		t.log.Warn("disk: the file system is full; giving up the oldest segment to open", "segment", path)
		err = os.Remove(path)
	}
	return nil // whoever opens finds what is wrong
}

// blamesIndex reports whether starting afresh could help: not where the
// operating system refused.
func blamesIndex(err error) bool {
	if refused(err) {
		return false
	}
	for _, e := range []error{fs.ErrPermission, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return false
		}
	}
	return true
}

func (t *Tier) pebble() (*index, error) {
	t.patient = newPatience(t.opts.backoff, func(err error) {
		t.counters.writeErrors.Add(1)
		if t.health.fall(err, t.opts.now()) {
			t.log.Error("disk: writing the index failed; serving what is there, declining new blocks, trying again",
				"dir", t.opts.Dir, "error", err)
		}
	})
	return openIndex(indexOptions{
		dir:       t.indexDir(),
		memTable:  memTableSize(t.opts.Capacity),
		cache:     indexCacheSize(t.opts.Capacity),
		readOnly:  t.readOnly,
		patient:   t.patient,
		log:       t.log,
		fs:        t.opts.indexFS,
		onDamaged: t.indexDamaged,
	})
}

// indexDamaged is called once, when damage shows in an index in use: the tier
// answers misses from then on, and the next Open starts it afresh.
func (t *Tier) indexDamaged(err error) {
	t.health.fall(err, t.opts.now().Add(1000*maxBackoff))
	t.log.Error("disk: the index is damaged; answering misses, and starting empty at the next start",
		"dir", t.opts.Dir, "error", err)
	if err := os.WriteFile(filepath.Join(t.opts.Dir, damagedFile), []byte(err.Error()+"\n"), 0o600); err != nil {
		t.log.Warn("disk: cannot mark the index as damaged", "dir", t.opts.Dir, "error", err)
	}
}

func (t *Tier) startAfresh(cause error) error {
	aside := filepath.Join(t.opts.Dir, asideName)
	t.log.Error("disk: the index cannot be used; the tier starts empty",
		"dir", t.opts.Dir, "error", cause, "moved_to", aside)
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(t.indexDir(), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.RemoveAll(t.segmentDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(t.segmentDir(), 0o700); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(t.opts.Dir, damagedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
