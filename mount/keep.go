package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A Kept is an image that is mounted nowhere, and of which the kernel has the file
// system and the pages that were read nevertheless: a mount of it finds them. It
// takes nothing from those who still use files of a mount that was taken out of
// sight.
type Kept struct {
	state    string
	manifest string
	spare    *spare
	src      *turns
	ended    <-chan struct{}
	turn     int
}

// errOther says that what is kept is not what is to be mounted.
var errOther = errors.New("mount: something else is kept")

// leave makes a mount that nobody sees any more a kept one: its layers and its record
// go, and the kernel's EROFS stays.
func (m *Mount) leave() error {
	r := m.record
	// What is below is nobody's but ours from here on, and goes with what is above it:
	// the kernel lets go of an overlay's layers a moment after it, and the file is held by
	// the EROFS that stays.
	below := []string{r.file()}
	if r.Overlay != "" {
		below = []string{r.lower(), r.file()}
	}
	for _, dir := range below {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mount: unmount %s: %w", dir, err)
		}
	}
	if err := r.remove(); err != nil {
		return err
	}
	k := &Kept{state: m.opts.State, manifest: r.Manifest, spare: m.spare, src: m.src, ended: m.ended, turn: r.Turn}
	m.mu.Lock()
	m.kept = k
	m.mu.Unlock()
	return nil
}

// Kept returns what is left of a mount of which Wait has seen the end; nil: nothing.
func (m *Mount) Kept() *Kept {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept
}

// KeepNothing has the mount's end be the end of all of it, whatever [Options.Keep]
// said.
func (m *Mount) KeepNothing() { m.spare.close() }

// Mount mounts the kept image, which must be the one that src has, as [New] does. Once
// nobody reads the source before any more, over is called. After an error the image is
// kept as before, or its [Kept.Ended] is closed soon.
func (k *Kept) Mount(src Source, o Options, over func()) (*Mount, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Manifest != k.manifest || o.As != Auto && o.As != EROFS {
		return nil, errOther
	}
	m := &Mount{opts: o, src: k.src, ended: k.ended, looks: make(chan struct{}, 1)}
	if err := m.claim(); err != nil {
		return nil, err
	}
	m.record.Turn, m.record.Kind, m.record.Keep = k.turn+1, EROFS, true
	if err := m.mountKept(k); err != nil {
		// The lowest layer is not among these: the spare needs it.
		return nil, errors.Join(err, takeDown(m.record.above(), 0), m.record.remove())
	}
	k.src.next(src, over)
	return m, nil
}

// mountKept puts the kept tree where the record says.
func (m *Mount) mountKept(k *Kept) error {
	r := m.record
	if r.Overlay != "" {
		if err := os.Mkdir(r.lower(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mount: state: %w", err)
		}
	}
	if err := k.spare.place(r.tree()); err != nil {
		return err
	}
	next, err := newSpare(r.tree())
	if err != nil {
		return err // and the file system goes with the tree
	}
	k.spare, m.spare = next, next
	if r.Overlay != "" {
		if err := mountOverlay(r.lower(), r.Overlay, r.Dir); err != nil {
			return err
		}
	}
	if !m.opts.Keep {
		r.Keep = false
	}
	if err := r.update(); err != nil {
		return err
	}
	if !m.opts.Keep {
		m.spare.close()
	}
	return nil
}

// Drop gives the kernel's file system up. It goes when nobody uses a file of it, and
// [Kept.Ended] is closed then.
func (k *Kept) Drop() { k.spare.close() }

// Ended is closed when nothing of the image is left, and its source is not read any
// more.
func (k *Kept) Ended() <-chan struct{} { return k.ended }

// Manifest returns the id of the image's manifest.
func (k *Kept) Manifest() string { return k.manifest }
