package mount

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// A Holding is what every record says: an image, and the process that has it.
type Holding struct {
	Image    string    `json:"image"`
	Manifest string    `json:"manifest_id"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	// Started is when the process started, in clock ticks since the machine did:
	// with the PID it names one process for ever.
	Started uint64 `json:"started"`

	home string   // the record's directory in the state directory
	doc  string   // the record's name there
	lock *os.File // the record, of this process, which holds a lock on it until it ends
}

func (h *Holding) path() string { return filepath.Join(h.home, h.doc) }

// newHolding is one of this process from now on, whose record has this name.
func newHolding(doc, image, manifest string) (Holding, error) {
	pid := os.Getpid()
	started, err := startOf(pid)
	if err != nil {
		return Holding{}, fmt.Errorf("mount: %w", err)
	}
	return Holding{doc: doc, Image: image, Manifest: manifest, PID: pid, Started: started, Since: time.Now().UTC()}, nil
}

// running reports whether the process runs and can be seen from here: not from another
// PID namespace, where its number is none or another process's.
func (h *Holding) running() bool {
	started, err := startOf(h.PID)
	return err == nil && started == h.Started
}

// near is an error where the process lives in another PID namespace: nothing can be
// asked of it from here.
func (h *Holding) near() error {
	if h.running() || !h.Alive() {
		return nil
	}
	return fmt.Errorf("mount: process %d, which has %s, is in another PID namespace: do this there", h.PID, h.Image)
}

// Alive reports whether the process runs, wherever it is: then the lock on its record is
// held.
func (h *Holding) Alive() bool {
	if h.running() {
		return true
	}
	f, err := os.Open(h.path())
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// signal tells the process something, if it runs. No other number is ever used: 0
// would be the group of this process.
func (h *Holding) signal(s unix.Signal) error {
	if err := h.near(); err != nil || !h.running() {
		return err
	}
	if err := unix.Kill(h.PID, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("mount: signal process %d: %w", h.PID, err)
	}
	return nil
}

// read reads the record. fs.ErrNotExist: there is none.
func (h *Holding) read(record any) error {
	doc, err := os.ReadFile(h.path())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, record); err != nil {
		return fmt.Errorf("mount: %s: %w", h.path(), err)
	}
	return nil
}

// write writes a record, whole and locked or not at all. how, os.Link or os.Rename, gives
// it its name.
func (h *Holding) write(record any, how func(tmp, name string) error) error {
	doc, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(h.home, "."+h.doc+"-")
	if err != nil {
		return fmt.Errorf("mount: state: %w", err)
	}
	defer os.Remove(f.Name())
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		_, err = f.Write(doc)
	}
	if err != nil {
		err = fmt.Errorf("mount: state: %w", err)
	} else {
		err = how(f.Name(), h.path())
	}
	if err != nil {
		f.Close()
		return err
	}
	h.unlock()
	h.lock = f
	return nil
}

// unlock gives up the lock on a record that is gone.
func (h *Holding) unlock() {
	if h.lock != nil {
		h.lock.Close()
		h.lock = nil
	}
}

// startOf returns when a process started, which is not yet over.
func startOf(pid int) (uint64, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	switch stat, err := p.Stat(); {
	case err != nil:
		return 0, err
	case stat.State == "Z":
		return 0, fs.ErrNotExist
	default:
		return stat.Starttime, nil
	}
}
