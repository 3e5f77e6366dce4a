package mount

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

// Signals go to the process of a record and to nobody else, whatever the record says.
func TestARecordWithoutAProcessSignalsNobody(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGCONT) // which nobody else in this group minds
	defer signal.Stop(got)
	own, err := newHolding(recordName, "i", "m")
	if err != nil {
		t.Fatal(err)
	}
	another := own
	another.Started--
	for _, h := range []Holding{{}, {Started: own.Started}, another} {
		h.home, h.doc = t.TempDir(), recordName
		if err := h.signal(unix.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	// Had one of these come, it would have come before this one.
	signal.Notify(got, unix.SIGWINCH)
	if err := own.signal(unix.SIGWINCH); err != nil {
		t.Error(err)
	}
	if s := <-got; s != unix.SIGWINCH {
		t.Errorf("somebody else's signal came here: %v", s)
	}
}

// The mount of a process that cannot be seen is left alone.
func TestRecordsOfAnotherPIDNamespace(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	dir, state := t.TempDir(), t.TempDir()
	cmd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", os.Args[0], dir, state)
	serve(t, cmd, src)
	list, err := List(state)
	if err != nil || len(list) != 1 || list[0].running() || !list[0].Alive() {
		t.Fatalf("listed: %+v, %v", list, err)
	}
	if _, err := New(src, Options{Dir: dir, State: state}); err == nil || !strings.Contains(err.Error(), "mounted there already") {
		t.Errorf("mounted twice: %v", err)
	}
	for _, force := range []Force{Gently, Lazily, Wholly} {
		if _, err := Unmount(t.Context(), state, dir, force); err == nil || !strings.Contains(err.Error(), "another PID namespace") {
			t.Errorf("unmounted by %v: %v", force, err)
		}
	}
	k := &KeptRecord{Holding: Holding{home: filepath.Join(state, keptPrefix+"x"), doc: keptName}}
	if err := errors.Join(os.Mkdir(k.home, 0o700), os.Link(list[0].path(), k.path())); err != nil {
		t.Fatal(err)
	}
	if kept, err := ListKept(state); err != nil || len(kept) != 1 || !kept[0].Alive() {
		t.Fatalf("kept: %+v, %v", kept, err)
	} else if err := kept[0].Drop(); err == nil || !strings.Contains(err.Error(), "another PID namespace") {
		t.Errorf("dropped: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for list[0].Alive() { // until the kernel has ended what was in the namespace
		<-time.After(time.Millisecond)
	}
	if kept, err := ListKept(state); err != nil || len(kept) != 0 {
		t.Errorf("kept by a dead process: %+v, %v", kept, err)
	}
	if _, err := Unmount(t.Context(), state, dir, Gently); err != nil {
		t.Error(err)
	}
	clean(t, state, dir)
}

// Whoever mounts there as soon as the record is gone keeps what is his.
func TestAPlaceIsFreeOnceItsRecordIsGone(t *testing.T) {
	state := t.TempDir()
	holding, err := newHolding(recordName, "i", "m")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r := &Record{Holding: holding, Dir: "/dir"}
		r.home = home(state, r.Dir)
		if err := r.claim(); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			if err := os.WriteFile(filepath.Join(r.home, fmt.Sprint(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		looking, next := make(chan struct{}), make(chan error)
		go func() {
			close(looking)
			for {
				if _, err := find(state, r.Dir); errors.Is(err, fs.ErrNotExist) {
					break
				}
			}
			err := os.MkdirAll(r.home, 0o700)
			if err == nil {
				err = os.WriteFile(filepath.Join(r.home, logName), nil, 0o600)
			}
			next <- err
		}()
		<-looking
		if err := errors.Join(r.remove(), <-next); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(r.home); err != nil || len(left) != 1 {
			t.Fatalf("the next one has %v, %v", left, err)
		}
		if err := os.RemoveAll(r.home); err != nil {
			t.Fatal(err)
		}
	}
	// What a process that was killed meanwhile has left goes with the next look.
	if err := os.MkdirAll(filepath.Join(state, gonePrefix+"x", "y"), 0o700); err != nil {
		t.Fatal(err)
	}
	if list, err := List(state); err != nil || len(list) > 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
	clean(t, state, state)
}

// A state directory that was given by a relative name is the same one wherever the
// process goes.
func TestARelativeStateDirectory(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	parent := t.TempDir()
	t.Chdir(parent)
	m, err := New(src, Options{Dir: t.TempDir(), State: "state", Image: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("/")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := errors.Join(m.Unmount(), m.Wait(ctx)); err != nil {
		t.Error(err)
	}
	clean(t, filepath.Join(parent, "state"), m.opts.Dir)

	dir, state := t.TempDir(), t.TempDir()
	cmd := program(t, src, dir, state)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	t.Chdir(filepath.Dir(state))
	if _, err := Unmount(t.Context(), filepath.Base(state), dir, Gently); err != nil {
		t.Error(err)
	}
	clean(t, state, dir)
}
