package mount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/mount/tree"
)

// A Mount is an image that this process serves.
type Mount struct {
	opts   Options
	record *Record
	src    *turns
	served interface{ Wait() } // the FUSE server; nil: that of a mount before
	ended  <-chan struct{}     // closed when it serves no more
	looks  chan struct{}       // has one element when somebody says that DIR may be unmounted
	spare  *spare              // nil: nothing is kept
	stayed string              // why DIR could not be freed, as it was told last

	mu     sync.Mutex
	ending bool // Unmount is at work
	kept   *Kept
}

// New mounts src. Close the source only after Wait has returned.
func New(src Source, o Options) (*Mount, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	m := &Mount{opts: o, src: newTurns(src), looks: make(chan struct{}, 1)}
	if err := m.claim(); err != nil {
		return nil, err
	}
	if err := m.mount(m.src); err != nil {
		// Whatever stands by now comes down again, used or not.
		m.spare.close()
		return nil, errors.Join(err, m.record.takeDown(unix.MNT_DETACH), m.record.remove())
	}
	ended := make(chan struct{})
	go func() {
		m.served.Wait() // ends with the last layer
		close(ended)
	}()
	m.ended = ended
	return m, nil
}

// claim makes the mount's record, after the rest of one whose process has died has
// been cleared away.
func (m *Mount) claim() error {
	o := m.opts
	holding, err := newHolding(recordName, o.Image, o.Manifest)
	if err != nil {
		return err
	}
	holding.home, holding.Since = home(o.State, o.Dir), holding.Since.Truncate(time.Second)
	m.record = &Record{Holding: holding, Dir: o.Dir, Kind: o.As, Overlay: o.Overlay, Leaves: true}
	err = m.record.claim()
	if err == nil {
		if err = occupied(o.Dir); err != nil {
			err = errors.Join(err, m.record.remove())
		}
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	other, err := find(o.State, o.Dir)
	if err != nil {
		return err
	}
	if other.Alive() {
		return fmt.Errorf("mount: %s is mounted there already, by process %d: cached umount %s", other.Image, other.PID, o.Dir)
	}
	o.Logger.Warn("clearing away a mount whose process has died", "dir", other.Dir, "image", other.Image, "pid", other.PID)
	if err := errors.Join(other.takeDown(0), os.Remove(other.path())); err != nil {
		return err
	}
	return m.record.claim()
}

// mount builds the layers, the lowest first.
func (m *Mount) mount(src Source) error {
	r := m.record
	dirs := []string{r.file()}
	if r.Overlay != "" {
		dirs = append(dirs, r.lower())
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mount: state: %w", err)
		}
	}
	var err error
	if r.Kind, err = m.mountTree(src); err != nil {
		return err
	}
	if r.Overlay != "" {
		if err := mountOverlay(r.lower(), r.Overlay, r.Dir); err != nil {
			return err
		}
	}
	// Its pages would go with a loop device's, and a tree of ours has none.
	if m.opts.Keep != nil && r.Kind == EROFS {
		if m.spare, err = newSpare(r.tree()); err != nil {
			m.opts.Logger.Warn("nothing will be kept of the mount", "error", err)
		}
	}
	r.Keep = m.spare.open()
	if err := m.opts.ready(); err != nil {
		return err
	}
	return r.update()
}

// mountTree makes the image a tree of files, and returns how.
func (m *Mount) mountTree(src Source) (Kind, error) {
	kind, r := m.opts.As, m.record
	if kind == Auto && os.Geteuid() != 0 {
		kind = Tree
	}
	switch kind {
	case Tree:
		return Tree, m.serveTree(src, r.tree())
	case File:
		return File, m.serveFile(src, r.Dir)
	}
	if err := m.serveFile(src, r.file()); err != nil {
		return "", err
	}
	kind, err := mountEROFS(imagePath(r.file()), r.tree(), kind)
	if m.opts.As != Auto || !unable(err) {
		return kind, err
	}
	m.opts.Logger.Warn("a FUSE file system serves the image, more slowly than the kernel would", "why", err)
	if err := unix.Unmount(r.file(), 0); err != nil {
		return "", fmt.Errorf("mount: unmount %s: %w", r.file(), err)
	}
	m.served.Wait()
	return Tree, m.serveTree(src, r.tree())
}

// unable reports whether the kernel has no way to mount EROFS, as opposed to one
// that failed.
func unable(err error) bool {
	return errors.Is(err, errNoEROFS) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENXIO)
}

func (m *Mount) serveFile(src Source, dir string) error {
	s, err := serveFile(dir, src, m.opts)
	if err == nil {
		m.served = s
	}
	return err
}

func (m *Mount) serveTree(src Source, dir string) error {
	root := os.Geteuid() == 0
	s, err := tree.Serve(context.Background(), dir, src, src.Size(), tree.Options{
		FsName: sourceName(m.opts.Image), AllowOther: root, Privileged: root, Logger: m.opts.Logger,
	})
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	m.served = s
	return nil
}

// Record returns what the state directory says of the mount.
func (m *Mount) Record() Record { return *m.record }

// Unmount takes the mount down, and keeps nothing of it. A *BusyError says who uses
// it; it goes on then.
func (m *Mount) Unmount() error {
	m.setEnding(true)
	defer m.setEnding(false)
	if m.spare.open() {
		if err := takeDown(m.record.above(), 0); err != nil {
			return err
		}
		m.spare.close()
	}
	return m.record.takeDown(0)
}

// setEnding says whether an unmounted DIR is ours to deal with, and not that of Wait.
func (m *Mount) setEnding(is bool) {
	m.mu.Lock()
	m.ending = is
	m.mu.Unlock()
}

// Look has Wait look now whether the mount was unmounted.
func (m *Mount) Look() {
	select {
	case m.looks <- struct{}{}:
	default: // it is about to
	}
}

// lookEvery is how often a mount looks whether somebody else has unmounted it,
// where the kernel does not say.
const lookEvery = time.Second

// Wait returns when the mount is gone, taken down here or by anybody else, or when
// ctx ends, with its error. What may be left of it is in [Mount.Kept].
func (m *Mount) Wait(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.ended:
			return m.record.remove()
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-m.looks:
		}
		m.follow()
		if m.Kept() != nil {
			return nil
		}
	}
}

// linger is how long the kernel may take to let go of what nobody uses.
const linger = 100 * time.Millisecond

// follow takes down the lower layers when somebody has unmounted DIR, for example
// with umount(8). While a file of the image is still open, which is so after a
// lazy unmount, they go on out of sight.
func (m *Mount) follow() {
	m.mu.Lock()
	ending := m.ending
	m.mu.Unlock()
	if m.record.Keep && !m.spare.open() { // told to keep nothing
		m.record.Keep = false
		if err := m.record.update(); err != nil {
			m.opts.Logger.Warn("the record of the mount", "error", err)
		}
	}
	if mounted, err := isMounted(m.record.Dir); ending || err != nil || mounted {
		return
	}
	if !m.spare.open() {
		if err := takeDown(m.record.below(), unix.MNT_DETACH); err != nil {
			m.stays(err)
			return
		}
		select {
		case <-m.ended:
			return
		case <-time.After(linger):
		}
	}
	if err := m.leave(); err != nil {
		m.stays(err)
	}
}

// stays says why DIR cannot be freed, which is tried again and again, once for each
// reason: names of temporary files, which are never the same, make none.
func (m *Mount) stays(err error) {
	why := err.Error()
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		why = errno.Error()
	}
	if why == m.stayed {
		return
	}
	m.stayed = why
	m.opts.Logger.Warn("the place cannot be freed, which is tried again", "dir", m.opts.Dir, "error", err)
}
