package mount

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Record is what the state directory says of a mount.
type Record struct {
	Holding
	Dir     string `json:"dir"`
	Kind    Kind   `json:"kind"`
	Overlay string `json:"overlay,omitempty"`
	// Turn is how many mounts the process has served before this one.
	Turn int `json:"turn,omitempty"`
	// Keep is set where the process may outlive the mount, with the image's pages.
	Keep bool `json:"keep,omitempty"`
	// Leaves is set where the process gives DIR up while somebody still uses the mount out
	// of sight. One of an earlier version, which outlives the update, does not.
	Leaves bool `json:"leaves,omitempty"`
}

const (
	recordName = "mount.json"
	logName    = "log"
	gonePrefix = ".gone-" // of directories that are being removed
)

// home returns the directory of the mount at dir, an absolute path.
func home(state, dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(state, hex.EncodeToString(sum[:10]))
}

// Log returns the name of the log of the mount at dir, beside its record; dir exists.
func Log(state, dir string) (string, error) {
	if state == "" {
		state = DefaultState()
	}
	abs, err := place(dir)
	if err != nil {
		return "", err
	}
	return filepath.Join(home(state, abs), logName), nil
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

// claim makes the record's directory and writes the record. fs.ErrExist: there is
// one already.
func (r *Record) claim() error {
	if err := os.MkdirAll(r.home, 0o700); err != nil {
		return fmt.Errorf("mount: state: %w", err)
	}
	return r.write(r, os.Link) // only one of two who do this at once
}

// update replaces the record.
func (r *Record) update() error { return r.write(r, os.Rename) }

// remove forgets the mount, whose layers are gone.
func (r *Record) remove() error {
	if err := r.removeLayers(); err != nil {
		return err
	}
	return r.removeHome()
}

// removeHome removes all else. It takes the directory's name first: the next mount on
// the same place makes its own, and nothing of that is removed.
func (r *Record) removeHome() error {
	gone := filepath.Join(filepath.Dir(r.home), fmt.Sprintf("%s%s-%d-%d", gonePrefix, filepath.Base(r.home), r.PID, r.Turn))
	if err := os.Rename(r.home, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("mount: state: %w", err)
	}
	err := os.RemoveAll(gone)
	r.unlock()
	return err
}

func (r *Record) removeLayers() error {
	// Never more than this: a layer that is still mounted is not ours to empty.
	for _, name := range []string{"lower", "file"} {
		if err := os.Remove(filepath.Join(r.home, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mount: state: %w", err)
		}
	}
	return nil
}

// pass has the log go on in the directory of a record that takes over, and forgets
// the mount.
func (r *Record) pass(to *KeptRecord) error {
	if err := r.removeLayers(); err != nil {
		return err
	}
	err := os.Rename(filepath.Join(r.home, logName), filepath.Join(to.home, logName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("mount: state: %w", err)
	}
	return r.removeHome()
}

// find returns the record of the mount at dir. fs.ErrNotExist: there is none.
func find(state, dir string) (*Record, error) { return load(home(state, dir)) }

func load(home string) (*Record, error) {
	r := &Record{Holding: Holding{home: home, doc: recordName}}
	if err := r.read(r); err != nil {
		return nil, err
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
		if strings.HasPrefix(e.Name(), gonePrefix) {
			_ = os.RemoveAll(filepath.Join(state, e.Name())) // its process may have been killed
			continue
		}
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
