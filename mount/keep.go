package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A Kept is an image that is mounted nowhere, and of which the kernel has the file
// system and the pages that were read nevertheless: a mount of it finds them. It
// takes nothing from those who still use files of a mount that was taken out of
// sight.
type Kept struct {
	record   *KeptRecord
	listener *net.UnixListener
	spare    *spare
	src      *turns
	ended    <-chan struct{}
	turn     int
}

// errOther says that what is kept is not what is to be mounted.
var errOther = errors.New("mount: something else is kept")

// leave makes a mount that nobody sees any more a kept one, or one of which nothing is
// kept and somebody still has files open: its layers and its record go, and the kernel's
// file system stays. The process has one record or the other at any time, and logs to a
// file that has a name.
func (m *Mount) leave() error {
	r := m.record
	k, err := m.register()
	if err != nil && m.spare.open() { // it ends with its last user now, and has the place until then
		m.opts.Logger.Warn("nothing is kept", "error", err)
		m.spare.close()
		return nil
	}
	if err != nil {
		return err
	}
	// What is below is nobody's but ours from here on, and goes with what is above it:
	// the kernel lets go of an overlay's layers a moment after it, and the file is held by
	// the EROFS that stays.
	if err = takeDown(r.below(), unix.MNT_DETACH); err == nil {
		err = r.pass(k.record)
	}
	if err != nil {
		return errors.Join(err, k.listener.Close(), k.Forget())
	}
	m.mu.Lock()
	m.kept = k
	m.mu.Unlock()
	return nil
}

// register makes what is to be kept of the mount known.
func (m *Mount) register() (*Kept, error) {
	o := m.opts
	holding, err := newHolding(keptName, o.Image, o.Manifest)
	if err != nil {
		return nil, err
	}
	k := &Kept{spare: m.spare, src: m.src, ended: m.ended, turn: m.record.Turn}
	k.record = &KeptRecord{Holding: holding, Dir: m.record.Dir, Kind: m.record.Kind, Bytes: m.src.Size(), Over: !m.spare.open()}
	if o.Keep != nil {
		k.record.Workload, k.record.For, k.record.Until = o.Keep.Workload, o.Keep.For, holding.Since.Add(o.Keep.Time)
	}
	k.listener, err = k.record.register(o.State)
	return k, err
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

// Record returns what the state directory says of it.
func (k *Kept) Record() KeptRecord { return *k.record }

// Accept returns the next connection of a process that has found the record. It fails
// once the image is mounted again, or dropped.
func (k *Kept) Accept() (*net.UnixConn, error) { return k.listener.AcceptUnix() }

// Mount mounts the kept image, which must be the one that src has, as [New] does. Once
// nobody reads the source before any more, over is called. Nobody finds the record of
// what is kept any more then. After an error the image is kept as before, or its
// [Kept.Ended] is closed soon.
func (k *Kept) Mount(src Source, o Options, over func()) (*Mount, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Manifest != k.record.Manifest || o.As != Auto && o.As != EROFS {
		return nil, errOther
	}
	m := &Mount{opts: o, src: k.src, ended: k.ended, looks: make(chan struct{}, 1)}
	if err := m.claim(); err != nil {
		return nil, err
	}
	m.record.Turn, m.record.Kind = k.turn+1, EROFS
	if err := m.mountKept(k); err != nil {
		// The lowest layer is not among these: the spare needs it.
		return nil, errors.Join(err, takeDown(m.record.above(), unix.MNT_DETACH), m.record.remove())
	}
	k.src.next(src, over)
	if err := errors.Join(k.listener.Close(), k.Forget()); err != nil {
		o.Logger.Warn("the record of what was kept", "error", err)
	}
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
	if err := m.opts.ready(); err != nil {
		return err
	}
	r.Keep = m.opts.Keep != nil
	if err := r.update(); err != nil {
		return err
	}
	if !r.Keep {
		m.spare.close()
	}
	return nil
}

// Drop gives the kernel's file system up. It goes when nobody uses a file of it, and
// [Kept.Ended] is closed then; until then the record says so.
func (k *Kept) Drop() error {
	k.record.Over = true
	err := errors.Join(k.record.update(), k.listener.Close())
	k.spare.close()
	return err
}

// Held reports whether the kernel's file system is kept: it may have been given up since
// the mount's end, by [Mount.KeepNothing].
func (k *Kept) Held() bool { return k.spare.open() }

// Ended is closed when nothing of the image is left, and its source is not read any
// more.
func (k *Kept) Ended() <-chan struct{} { return k.ended }

// Forget removes the record, as the last that is done for what was kept.
func (k *Kept) Forget() error { return k.record.forget() }
