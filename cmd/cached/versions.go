package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/zonecache/cached/access"
	"github.com/zonecache/cached/block"
)

// versions remembers across restarts what names pointed at: a program that
// started with an earlier version of its image reads on after the daemon was
// restarted. The file has a line for each time a name moved.
type versions struct {
	log  *slog.Logger
	file *os.File // nil: nothing is remembered
}

// maxKnownVersions is how many lines are taken over at a start, the latest.
const maxKnownVersions = 64 << 10

// openVersions reads the file in dir and goes on writing it. A file that cannot be
// used is a warning: nothing depends on it but programs older than the daemon.
func openVersions(dir string, log *slog.Logger) (*versions, []access.Pointer) {
	v := &versions{log: log}
	name := filepath.Join(dir, "versions")
	known, err := readVersions(name)
	if err == nil {
		err = v.open(name, known)
	}
	if err != nil {
		log.Warn("what names pointed at is not kept across restarts", "error", err)
	}
	return v, known
}

// readVersions returns the pointers in the file, the oldest first, each once. A
// line that was being written when the machine died is skipped.
func readVersions(name string) ([]access.Pointer, error) {
	doc, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []access.Pointer
	last := map[access.Pointer]int{} // where each stands last
	for lines := bufio.NewScanner(bytes.NewReader(doc)); lines.Scan(); {
		image, id, _ := strings.Cut(lines.Text(), " ")
		manifest, err := block.ParseID(id)
		if err != nil || block.CheckName(image) != nil {
			continue
		}
		p := access.Pointer{Name: image, Manifest: manifest}
		last[p] = len(all)
		all = append(all, p)
	}
	var kept []access.Pointer
	for i, p := range all {
		if last[p] == i {
			kept = append(kept, p)
		}
	}
	return kept[max(len(kept)-maxKnownVersions, 0):], nil
}

// open writes the file anew, without what is not needed any more.
func (v *versions) open(name string, known []access.Pointer) error {
	var doc bytes.Buffer
	for _, p := range known {
		doc.WriteString(versionLine(p))
	}
	if err := replaceFile(name, doc.Bytes()); err != nil {
		return err
	}
	var err error
	v.file, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	return err
}

func versionLine(p access.Pointer) string { return fmt.Sprintf("%s %s\n", p.Name, p.Manifest) }

// learned notes what a name points at from now on. A line is one write at the
// file's end, so that lines of several callers stay whole.
func (v *versions) learned(p access.Pointer) {
	if v.file == nil {
		return
	}
	if _, err := v.file.WriteString(versionLine(p)); err != nil {
		v.log.Debug("what a name points at is not kept", "image", p.Name, "error", err)
	}
}

func (v *versions) close() error {
	if v.file == nil {
		return nil
	}
	return v.file.Close()
}
