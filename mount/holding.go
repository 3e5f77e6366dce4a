package mount

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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

	home string // the record's directory in the state directory
}

// newHolding is one of this process from now on.
func newHolding(image, manifest string) (Holding, error) {
	pid := os.Getpid()
	started, err := startOf(pid)
	if err != nil {
		return Holding{}, fmt.Errorf("mount: %w", err)
	}
	return Holding{Image: image, Manifest: manifest, PID: pid, Started: started, Since: time.Now().UTC()}, nil
}

// Alive reports whether the process runs.
func (h *Holding) Alive() bool {
	started, err := startOf(h.PID)
	return err == nil && started == h.Started
}

// signal tells the process something, if it is there.
func (h *Holding) signal(s unix.Signal) error {
	if err := unix.Kill(h.PID, s); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("mount: signal process %d: %w", h.PID, err)
	}
	return nil
}

// read reads a record. fs.ErrNotExist: there is none.
func read(name string, record any) error {
	doc, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, record); err != nil {
		return fmt.Errorf("mount: %s: %w", name, err)
	}
	return nil
}

// replace writes a record, whole or not at all, over what has its name.
func replace(name string, record any) error {
	doc, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name))
	if err := os.WriteFile(tmp, doc, 0o600); err != nil {
		return fmt.Errorf("mount: state: %w", err)
	}
	return os.Rename(tmp, name)
}

// startOf returns when a process started.
func startOf(pid int) (uint64, error) {
	doc, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; the state comes behind it.
	fields := bytes.Fields(doc[bytes.LastIndexByte(doc, ')')+1:])
	var started uint64
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return 0, fs.ErrNotExist
	}
	if _, err := fmt.Sscan(string(fields[19]), &started); err != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return started, nil
}
