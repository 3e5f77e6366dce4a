package mount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A Force says how much an unmount does to those who use the mount.
type Force uint8

// The forces.
const (
	Gently Force = iota // refuse while it is in use
	Lazily              // take it out of sight now; it goes when the last user does
	Wholly              // as Gently, and nothing of it is kept
)

// Signals to the process of a mount of which something may be kept.
const (
	// SignalLook says that DIR may be unmounted.
	SignalLook = unix.SIGUSR1
	// SignalKeepNothing says that nothing is to be kept, also of what is.
	SignalKeepNothing = unix.SIGUSR2
)

// unmount unmounts dir by itself, or through fusermount3 where this process may
// not.
func unmount(dir string, flags int) error {
	err := unix.Unmount(dir, flags)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	helper, lookErr := exec.LookPath("fusermount3")
	if lookErr != nil {
		return err
	}
	args := []string{"-u", dir}
	if flags&unix.MNT_DETACH != 0 {
		args = []string{"-u", "-z", dir}
	}
	out, err := exec.Command(helper, args...).CombinedOutput()
	if err != nil {
		if mounted, look := isMounted(dir); look == nil && !mounted {
			return nil
		}
		return fmt.Errorf("%s: %w", out, unix.EBUSY)
	}
	return nil
}

// Unmount takes down the mount at dir, whoever made it and whether that process
// still lives, and returns what it was: DIR is free then, unless a process that never
// leaves it ([Record.Leaves]) was told so lazily. Errors: fs.ErrNotExist where nothing
// of ours is mounted, *BusyError where it is in use.
func Unmount(ctx context.Context, state, dir string, force Force) (*Record, error) {
	if state == "" {
		state = DefaultState()
	}
	state, err := filepath.Abs(state) // as the kernel's table names layers
	if err != nil {
		return nil, fmt.Errorf("mount: state: %w", err)
	}
	r, err := findForUnmount(state, dir)
	if err != nil {
		return nil, err
	}
	flags := 0
	if force == Lazily {
		flags = unix.MNT_DETACH
	}
	if !r.Alive() {
		if err := r.takeDown(flags); err != nil {
			return r, err
		}
		return r, r.remove()
	}
	if err := r.near(); err != nil {
		return r, err
	}
	if r.Keep && force == Lazily {
		if err := r.signal(SignalKeepNothing); err != nil {
			return r, err
		}
	}
	// The process takes the lowest layer down, and waits with it for the last user.
	top := r.layers()[0]
	if err := unmount(top, flags); err != nil && !errors.Is(err, unix.EINVAL) {
		if errors.Is(err, unix.EBUSY) {
			return r, &BusyError{Dir: top, Holders: holders(top)}
		}
		return r, fmt.Errorf("mount: unmount %s: %w", top, err)
	}
	if err := r.tellUnmounted(force); err != nil || force == Lazily && !r.Leaves {
		return r, err
	}
	return r, r.await(ctx, force)
}

// tellUnmounted tells the process that its mount is gone. SIGTERM would end its next
// mount where that is fast: it may have seen the end of this one before it gets the
// signal.
func (r *Record) tellUnmounted(force Force) error {
	if !r.Keep && (force != Lazily || !r.Leaves) {
		return r.signal(unix.SIGTERM)
	}
	if force == Wholly { // and not before: a mount that is busy goes on, and is kept one day
		if err := r.signal(SignalKeepNothing); err != nil {
			return err
		}
	}
	return r.signal(SignalLook)
}

// Settle waits for the processes of mounts that somebody else has unmounted: from then
// on each keeps the image, or nothing of it.
func Settle(ctx context.Context, state string) error {
	records, err := List(state)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range records {
		if !r.Keep || !r.running() || !r.unmounted() {
			continue
		}
		if err := r.signal(SignalLook); err != nil {
			return err
		}
		errs = append(errs, r.waitFor(ctx, func() bool {
			now, err := load(r.home)
			return err == nil && !now.Keep || r.forgotten()
		}))
	}
	return errors.Join(errs...)
}

// unmounted reports whether nothing is on DIR where the mount's process is.
func (r *Record) unmounted() bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", r.PID))
	if err != nil {
		return false
	}
	defer f.Close()
	list, err := mountinfo.GetMountsFromReader(f, mountinfo.SingleEntryFilter(r.Dir))
	return err == nil && len(list) == 0
}

// findForUnmount finds the record of dir, also where dir cannot be looked at any
// more.
func findForUnmount(state, dir string) (*Record, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err == nil {
		abs = filepath.Join(parent, filepath.Base(abs))
	}
	r, err := find(state, abs)
	if errors.Is(err, fs.ErrNotExist) {
		if real, evalErr := filepath.EvalSymlinks(abs); evalErr == nil && real != abs {
			r, err = find(state, real)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("mount: nothing of ours is mounted on %s: %w", dir, fs.ErrNotExist)
	}
	return r, err
}

// await waits until the mount's process has ended, or has forgotten the mount of which
// it keeps something or which somebody still uses out of sight, and clears away what it
// left.
func (r *Record) await(ctx context.Context, force Force) error {
	done, flags := func() bool { return r.Keep && r.forgotten() && (force == Gently || r.goesOn()) }, 0
	if force == Lazily {
		done, flags = r.forgotten, unix.MNT_DETACH
	}
	if err := r.waitFor(ctx, done); err != nil || r.forgotten() {
		return err
	}
	return errors.Join(r.takeDown(flags), r.remove())
}

// waitFor waits until done, or the end of the mount's process.
func (r *Record) waitFor(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.running() && !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("mount: %s is unmounted, but process %d does not end: %w", r.Dir, r.PID, ctx.Err())
		}
	}
	return nil
}

// goesOn reports whether the process serves another mount by now.
func (r *Record) goesOn() bool {
	list, err := List(filepath.Dir(r.home))
	return err == nil && slices.ContainsFunc(list, func(o *Record) bool { return o.PID == r.PID && o.Started == r.Started })
}

// forgotten reports whether the record is gone; another one may be in its place.
func (r *Record) forgotten() bool {
	now, err := load(r.home)
	return errors.Is(err, fs.ErrNotExist) || err == nil && (now.PID != r.PID || now.Started != r.Started || now.Turn != r.Turn)
}
