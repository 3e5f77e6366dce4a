package mount

import (
	"context"
	"encoding/json"
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
	Image    string    `json:"image"`
	Manifest string    `json:"manifest_id"`
	Workload string    `json:"workload,omitempty"` // what ran in it
	Bytes    int64     `json:"bytes"`
	For      string    `json:"for"` // a digest of who may have it
	PID      int       `json:"pid"`
	Started  uint64    `json:"started"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`

	home string
}

const (
	keptDir    = "kept"
	keptName   = "kept.json"
	keptSocket = "socket"
)

// Register writes the record of an image that this process keeps, and listens on its
// socket. [KeptRecord.Forget] undoes both.
func (r *KeptRecord) Register(state string) (*net.UnixListener, error) {
	if state == "" {
		state = DefaultState()
	}
	var err error
	r.PID = os.Getpid()
	if r.Started, err = startOf(r.PID); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	r.home = filepath.Join(state, keptDir, fmt.Sprintf("%d-%d", r.PID, r.Started))
	if err := os.MkdirAll(r.home, 0o700); err != nil {
		return nil, fmt.Errorf("mount: state: %w", err)
	}
	l, err := r.listen()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount: state: %w", err), r.Forget())
	}
	doc, err := json.MarshalIndent(r, "", "  ")
	tmp := filepath.Join(r.home, "."+keptName)
	if err == nil {
		err = os.WriteFile(tmp, doc, 0o600)
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(r.home, keptName))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount: state: %w", err), l.Close(), r.Forget())
	}
	return l, nil
}

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

// Forget removes the record.
func (r *KeptRecord) Forget() error {
	err := os.RemoveAll(r.home)
	_ = os.Remove(filepath.Dir(r.home)) // where it was the last
	return err
}

// Alive reports whether the process runs.
func (r *KeptRecord) Alive() bool {
	started, err := startOf(r.PID)
	return err == nil && started == r.Started
}

// Drop tells the process to keep nothing.
func (r *KeptRecord) Drop() error {
	if err := unix.Kill(r.PID, SignalKeepNothing); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("mount: signal process %d: %w", r.PID, err)
	}
	return nil
}

// Await waits until the record is gone: the image is kept no longer, or mounted again.
func (r *KeptRecord) Await(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(r.home, keptName)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !r.Alive() {
			return r.Forget()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("mount: process %d keeps %s all the same: %w", r.PID, r.Image, ctx.Err())
		}
	}
}

// ListKept returns what is kept, the latest first. The records of processes that have
// died are cleared away: nothing else is left of those.
func ListKept(state string) ([]*KeptRecord, error) {
	if state == "" {
		state = DefaultState()
	}
	entries, err := os.ReadDir(filepath.Join(state, keptDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mount: state: %w", err)
	}
	var list []*KeptRecord
	for _, e := range entries {
		r := &KeptRecord{home: filepath.Join(state, keptDir, e.Name())}
		if n, err := fmt.Sscanf(e.Name(), "%d-%d", &r.PID, &r.Started); err != nil || n != 2 {
			continue
		}
		if !r.Alive() {
			if err := r.Forget(); err != nil {
				return nil, fmt.Errorf("mount: state: %w", err)
			}
			continue
		}
		doc, err := os.ReadFile(filepath.Join(r.home, keptName))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being made, or gone
		}
		if err == nil {
			err = json.Unmarshal(doc, r)
		}
		if err != nil {
			return nil, fmt.Errorf("mount: %s: %w", r.home, err)
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
