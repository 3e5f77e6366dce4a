package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

// A small state directory is a file system with room for few files.
type small struct {
	t     *testing.T
	state string
	full  string // a directory of files that take the room
}

func smallState(t *testing.T) *small {
	t.Helper()
	needMounts(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "nr_inodes=64"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := &small{t: t, state: filepath.Join(dir, "state"), full: filepath.Join(dir, "full")}
	if err := errors.Join(os.Mkdir(s.state, 0o700), os.Mkdir(s.full, 0o700)); err != nil {
		t.Fatal(err)
	}
	return s
}

// fill leaves no room.
func (s *small) fill() {
	s.t.Helper()
	for i := range 1000 {
		if err := os.Mkdir(filepath.Join(s.full, fmt.Sprint(i)), 0o700); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Fatal("it does not fill up")
}

// A place that cannot be given up is told of once for each reason, and is given up when
// it can be.
func TestAPlaceThatCannotBeFreed(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	s := smallState(t)
	var log bytes.Buffer
	m, err := New(src, Options{Dir: t.TempDir(), State: s.state, Image: "test", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(m.opts.Dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Unmount(m.opts.Dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	log.Reset() // of how it was mounted
	s.fill()
	for range 3 {
		m.follow()
	}
	if said := log.String(); m.Kept() != nil || strings.Count(said, "\n") != 1 || !strings.Contains(said, "cannot be freed") || !strings.Contains(said, unix.ENOSPC.Error()) {
		t.Errorf("left %v, said:\n%s", m.Kept(), said)
	}
	log.Reset()
	elsewhere := s.state + ".elsewhere"
	if err := os.Rename(s.state, elsewhere); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m.follow()
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, unix.ENOENT.Error()) {
		t.Errorf("of another reason it said:\n%s", said)
	}
	if err := errors.Join(os.Rename(elsewhere, s.state), os.RemoveAll(s.full)); err != nil {
		t.Fatal(err)
	}
	if m.follow(); m.Kept() == nil {
		t.Fatalf("it does not leave:\n%s", &log)
	}
	f.Close()
	drop(t, m.Kept())
}

// What cannot be kept is told of once, and ends.
func TestWhatCannotBeKept(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	s := smallState(t)
	var log bytes.Buffer
	m, err := New(src, Options{Dir: t.TempDir(), State: s.state, Image: "test", Keep: keepLong, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if !m.Record().Keep {
		end(t, m)
		t.Skipf("this kernel keeps nothing of a mount by %s", m.Record().Kind)
	}
	log.Reset()
	s.fill()
	if err := unix.Unmount(m.opts.Dir, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := m.Wait(ctx); err != nil || m.Kept() != nil {
		t.Errorf("kept %v: %v", m.Kept(), err)
	}
	if said := log.String(); strings.Count(said, "nothing is kept") != 1 || strings.Contains(said, "cannot be freed") {
		t.Errorf("said:\n%s", said)
	}
	clean(t, s.state, m.opts.Dir)
}
