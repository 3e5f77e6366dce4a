package mount

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Record is what the state directory says of a mount.
type Record struct {
	Dir      string    `json:"dir"`
	Image    string    `json:"image"`
	Manifest string    `json:"manifest_id"`
	Kind     Kind      `json:"kind"`
	Overlay  string    `json:"overlay,omitempty"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	// Started is when the process started, in clock ticks since the machine did:
	// with the PID it names one process for ever.
	Started uint64 `json:"started"`
	// Turn is how many mounts the process has served before this one.
	Turn int `json:"turn,omitempty"`
	// Keep is set where the process may outlive the mount, with the image's pages.
	Keep bool `json:"keep,omitempty"`

	home string // its directory in the state directory
}

const recordName = "mount.json"

// home returns the directory of the mount at dir, an absolute path.
func home(state, dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(state, hex.EncodeToString(sum[:10]))
}

// Home returns where the mount at dir keeps its layers and its log; dir exists.
func Home(state, dir string) (string, error) {
	if state == "" {
		state = DefaultState()
	}
	abs, err := place(dir)
	if err != nil {
		return "", err
	}
	return home(state, abs), nil
}

func (r *Record) file() string  { return filepath.Join(r.home, "file") }
func (r *Record) lower() string { return filepath.Join(r.home, "lower") }

// tree returns where the image's own tree is mounted.
func (r *Record) tree() string {
	if r.Overlay != "" {
		return r.lower()
	}
	return r.Dir
}

// Alive reports whether the mount's process runs.
func (r *Record) Alive() bool {
	started, err := startOf(r.PID)
	return err == nil && started == r.Started
}

// claim makes the record's directory and writes the record. fs.ErrExist: there is
// one already.
func (r *Record) claim() error {
	if err := os.MkdirAll(r.home, 0o700); err != nil {
		return fmt.Errorf("mount: state: %w", err)
	}
	doc, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// Whole or not at all, and only one of two who do this at once.
	tmp := filepath.Join(r.home, fmt.Sprintf(".%s.%d", recordName, r.PID))
	if err := os.WriteFile(tmp, doc, 0o600); err != nil {
		return fmt.Errorf("mount: state: %w", err)
	}
	defer os.Remove(tmp)
	return os.Link(tmp, filepath.Join(r.home, recordName))
}

// update replaces the record.
func (r *Record) update() error {
	doc, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(r.home, "."+recordName)
	if err := os.WriteFile(tmp, doc, 0o600); err != nil {
		return fmt.Errorf("mount: state: %w", err)
	}
	return os.Rename(tmp, filepath.Join(r.home, recordName))
}

// remove forgets the mount, whose layers are gone.
func (r *Record) remove() error {
	// Never more than this: a layer that is still mounted is not ours to empty.
	for _, name := range []string{"lower", "file"} {
		if err := os.Remove(filepath.Join(r.home, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mount: state: %w", err)
		}
	}
	return os.RemoveAll(r.home)
}

// find returns the record of the mount at dir. fs.ErrNotExist: there is none.
func find(state, dir string) (*Record, error) { return load(home(state, dir)) }

func load(home string) (*Record, error) {
	doc, err := os.ReadFile(filepath.Join(home, recordName))
	if err != nil {
		return nil, err
	}
	r := &Record{home: home}
	if err := json.Unmarshal(doc, r); err != nil {
		return nil, fmt.Errorf("mount: %s: %w", filepath.Join(home, recordName), err)
	}
	return r, nil
}

// List returns the records of all mounts, in no order.
func List(state string) ([]*Record, error) {
	if state == "" {
		state = DefaultState()
	}
	entries, err := os.ReadDir(state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []*Record
	for _, e := range entries {
		r, err := load(filepath.Join(state, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being made, or gone
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, err
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
