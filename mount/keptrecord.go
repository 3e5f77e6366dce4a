package mount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A KeptRecord is what the state directory says of an image that a process keeps
// without a mount.
type KeptRecord struct {
	Holding
	Dir      string    `json:"dir"`                // where it was mounted
	Kind     Kind      `json:"kind"`               // and how
	Workload string    `json:"workload,omitempty"` // what ran in it
	Bytes    int64     `json:"bytes"`
	For      string    `json:"for"` // a digest of who may have it
	Until    time.Time `json:"until"`
	// Over is set once it is kept no longer, and the process is there for those who
	// still read files of a mount that was taken out of sight.
	Over bool `json:"over,omitempty"`
}

const (
	keptPrefix = "kept-" // of the directories of such records, in no directory of their own: the last to go would take it from the next to come
	keptName   = "kept.json"
	keptSocket = "socket"
)

// register writes the record of an image that this process keeps, and listens on its
// socket. forget undoes both.
func (r *KeptRecord) register(state string) (*net.UnixListener, error) {
	var err error
	if r.home, err = os.MkdirTemp(state, keptPrefix); err != nil {
		return nil, fmt.Errorf("mount: state: %w", err)
	}
	l, err := r.listen()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount: state: %w", err), r.forget())
	}
	if err := r.update(); err != nil {
		return nil, errors.Join(err, l.Close(), r.forget())
	}
	return l, nil
}

func (r *KeptRecord) update() error { return r.write(r, os.Rename) }

// reach calls use with the socket's address. A path of any length fits by way of a
// descriptor of its directory.
func (r *KeptRecord) reach(use func(*net.UnixAddr) error) error {
	dir, err := unix.Open(r.home, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return use(&net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir, keptSocket)})
}

func (r *KeptRecord) listen() (l *net.UnixListener, err error) {
	err = r.reach(func(at *net.UnixAddr) error {
		l, err = net.ListenUnix("unix", at)
		return err
	})
	if err == nil {
		l.SetUnlinkOnClose(false) // its name is another one by then
	}
	return l, err
}

// Dial connects to the process that keeps the image.
func (r *KeptRecord) Dial() (c *net.UnixConn, err error) {
	err = r.reach(func(at *net.UnixAddr) error {
		c, err = net.DialUnix("unix", nil, at)
		return err
	})
	return c, err
}

// forget removes the record.
func (r *KeptRecord) forget() error {
	err := os.RemoveAll(r.home)
	r.unlock()
	return err
}

// Drop tells the process to keep nothing.
func (r *KeptRecord) Drop() error { return r.signal(SignalKeepNothing) }

// Await waits until the record is gone: nothing of the image is left, or it is mounted
// again.
func (r *KeptRecord) Await(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(r.path()); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !r.Alive() {
			return r.forget()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("mount: process %d does not end: is a file of %s open, of a mount that was taken out of sight? %w", r.PID, r.Image, ctx.Err())
		}
	}
}

// ListKept returns what is kept, the latest first. The records of processes that have
// died are cleared away: nothing else is left of those.
func ListKept(state string) ([]*KeptRecord, error) {
	if state == "" {
		state = DefaultState()
	}
	entries, err := os.ReadDir(state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("mount: state: %w", err)
	}
	var list []*KeptRecord
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), keptPrefix) {
			continue
		}
		r := &KeptRecord{Holding: Holding{home: filepath.Join(state, e.Name()), doc: keptName}}
		err := r.read(r)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being made, or gone
		}
		if err != nil {
			return nil, err
		}
		if !r.Alive() {
			if err := r.forget(); err != nil {
				return nil, fmt.Errorf("mount: state: %w", err)
			}
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *KeptRecord) int {
		if c := b.Since.Compare(a.Since); c != 0 {
			return c
		}
		return strings.Compare(a.home, b.home)
	})
	return list, nil
}
