package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

var keepLong = &Keep{Workload: "w", For: "us", Time: time.Hour}

// keeping mounts src so that it is kept; the test's end takes down what there is.
func keeping(t *testing.T, src Source, o Options) *Mount {
	t.Helper()
	o.Keep, o.Manifest = keepLong, "the image"
	m := start(t, src, o)
	if !m.Record().Keep {
		t.Skipf("this kernel keeps nothing of a mount by %s", m.Record().Kind)
	}
	return m
}

// kept unmounts m as umount(8) does, and returns what is kept.
func kept(t *testing.T, m *Mount) *Kept {
	t.Helper()
	if err := unix.Unmount(m.opts.Dir, 0); err != nil {
		t.Fatal(err)
	}
	m.Look()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := m.Wait(ctx); err != nil || m.Kept() == nil {
		t.Fatalf("kept %v: %v", m.Kept(), err)
	}
	list, err := ListKept(m.opts.State)
	if err != nil || len(list) != 1 || list[0].For != "us" || list[0].Over {
		t.Fatalf("listed: %+v, %v", list, err)
	}
	clean(t, m.opts.State, m.opts.Dir, filepath.Base(list[0].home))
	return m.Kept()
}

func drop(t *testing.T, k *Kept) {
	t.Helper()
	if err := k.Drop(); err != nil {
		t.Error(err)
	}
	select {
	case <-k.Ended():
	case <-time.After(20 * time.Second):
		t.Error("what was dropped does not end")
	}
	forget(t, k)
}

// forget removes the record of what has ended, and checks that it was there till then.
func forget(t *testing.T, k *Kept) {
	t.Helper()
	state := filepath.Dir(k.record.home)
	if list, err := ListKept(state); err != nil || len(list) != 1 || !list[0].Over {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if err := k.Forget(); err != nil {
		t.Error(err)
	}
	clean(t, state, state)
}

func TestKeptImagesAreMountedAgain(t *testing.T) {
	src := testImage(t, imagetest.EveryKind()...)
	k := kept(t, keeping(t, src, Options{}))
	state := t.TempDir()
	for turn, overlay := range []string{"", filepath.Join(t.TempDir(), "upper"), ""} {
		var over atomic.Int64
		dir := t.TempDir()
		m, err := k.Mount(src, Options{Dir: dir, State: state, Overlay: overlay, Manifest: "the image", Keep: keepLong}, func() { over.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
		if over.Load() != 1 {
			t.Errorf("turn %d: the source before was given back %d times", turn, over.Load())
		}
		if overlay == "" {
			same(t, dir, src)
		} else if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
			t.Errorf("turn %d: %v, %v", turn, entries, err)
		}
		if list, err := List(state); err != nil || len(list) != 1 || list[0].Dir != dir || list[0].Turn != turn+1 || list[0].Kind != EROFS || !list[0].Keep {
			t.Errorf("turn %d: listed %+v, %v", turn, list, err)
		}
		if overlay != "" {
			if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
		k = kept(t, m)
	}
	drop(t, k)
}

// What was read before needs no source.
func TestKeptPagesAreNotReadAgain(t *testing.T) {
	src := testImage(t, imagetest.File("a", strings.Repeat("a", 300_000)), imagetest.File("b", strings.Repeat("b", 300_000)))
	m := keeping(t, src, Options{})
	if _, err := os.ReadFile(filepath.Join(m.opts.Dir, "a")); err != nil {
		t.Fatal(err)
	}
	k := kept(t, m)
	next := testImage(t, imagetest.File("a", strings.Repeat("a", 300_000)), imagetest.File("b", strings.Repeat("b", 300_000)))
	dir := t.TempDir()
	again, err := k.Mount(next, Options{Dir: dir, State: t.TempDir(), Manifest: "the image"}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	src.fail.Store(true) // nobody reads it any more
	next.fail.Store(true)
	if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != strings.Repeat("a", 300_000) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	next.fail.Store(false)
	if got, err := os.ReadFile(filepath.Join(dir, "b")); err != nil || string(got) != strings.Repeat("b", 300_000) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	end(t, again) // for nothing is to be kept of it
}

// Who still uses a mount that is out of sight loses nothing, neither by what comes next
// nor by its end.
func TestKeptImagesAndWhoStillReads(t *testing.T) {
	body := strings.Repeat("a", 4<<20)
	src := testImage(t, imagetest.File("a", body))
	m := keeping(t, src, Options{})
	f, err := os.Open(filepath.Join(m.opts.Dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := func(from, to int) {
		t.Helper()
		p := make([]byte, to-from)
		if _, err := f.ReadAt(p, int64(from)); err != nil || !bytes.Equal(p, []byte(body[from:to])) {
			t.Errorf("read from %d to %d: %v", from, to, err)
		}
	}
	if err := unix.Unmount(m.opts.Dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	m.Look()
	if err := m.Wait(t.Context()); err != nil || m.Kept() == nil {
		t.Fatalf("kept %v: %v", m.Kept(), err)
	}
	read(0, 1<<20)
	next, err := m.Kept().Mount(src, Options{Dir: t.TempDir(), State: t.TempDir(), Manifest: "the image", Keep: keepLong}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	read(1<<20, 2<<20)
	k := kept(t, next)
	if err := k.Drop(); err != nil {
		t.Error(err)
	}
	read(2<<20, 4<<20)
	select {
	case <-k.Ended():
		t.Error("it ended under a reader")
	default:
	}
	f.Close()
	<-k.Ended()
	forget(t, k)
}

func TestKeptImagesRefuse(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	k := kept(t, keeping(t, src, Options{}))
	dir, state := t.TempDir(), t.TempDir()
	over := func() { t.Error("the source before was given back") }
	var users []*os.File
	for _, o := range []Options{
		{Dir: dir, Manifest: "the image", Ready: func() error { // somebody has come already
			f, err := os.Open(filepath.Join(dir, "a"))
			users = append(users, f)
			return errors.Join(err, errors.New("not ready"))
		}},
		{Dir: dir, Manifest: "another image"},
		{Dir: dir, Manifest: "the image", As: Tree},
		{Dir: filepath.Join(dir, "missing"), Manifest: "the image"},
		{Dir: dir, Manifest: "the image", Overlay: "/proc/self/fdinfo"}, // takes no overlay
	} {
		o.State = state
		if m, err := k.Mount(src, o, over); err == nil {
			t.Errorf("%+v: mounted", o)
			end(t, m)
			return
		}
		clean(t, state, dir)
	}
	for _, f := range users {
		f.Close()
	}
	m, err := k.Mount(src, Options{Dir: dir, State: state, Manifest: "the image"}, func() {})
	if err != nil {
		t.Fatalf("after all that: %v", err)
	}
	same(t, dir, src)
	end(t, m)
}

// What a mount is told to keep nothing of ends with it, as does one that is unmounted
// here.
func TestNothingIsKept(t *testing.T) {
	for how, finish := range map[string]func(*Mount) error{
		"unmounted": (*Mount).Unmount,
		"told":      func(m *Mount) error { m.KeepNothing(); return unix.Unmount(m.opts.Dir, 0) },
	} {
		m := keeping(t, testImage(t, imagetest.File("a", "x")), Options{})
		if err := errors.Join(finish(m), m.Wait(t.Context())); err != nil || m.Kept() != nil {
			t.Errorf("%s: kept %v, %v", how, m.Kept(), err)
		}
		clean(t, m.opts.State, m.opts.Dir)
	}
}

// A mount on a place that shares its mounts with others is not shared by what is kept.
func TestKeptImagesShareNoMounts(t *testing.T) {
	src := testImage(t, imagetest.Dir("proc"), imagetest.File("a", "x"))
	parent := t.TempDir()
	if err := errors.Join(unix.Mount("tmpfs", parent, "tmpfs", 0, ""), unix.Mount("", parent, "", unix.MS_SHARED, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(parent, unix.MNT_DETACH)
	dir := filepath.Join(parent, "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := keeping(t, src, Options{Dir: dir})
	below := filepath.Join(dir, "proc")
	if err := unix.Mount("tmpfs", below, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(below, 0); err != nil {
		t.Errorf("what was mounted below is held: %v", err)
	}
	k := kept(t, m)
	again, err := k.Mount(src, Options{Dir: t.TempDir(), State: t.TempDir(), Manifest: "the image"}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.Unmount(), again.Wait(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestKeptRecords(t *testing.T) {
	state := filepath.Join(t.TempDir(), strings.Repeat("a long name ", 12)) // longer than a socket's may be
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	holding, err := newHolding(keptName, "i", "m")
	if err != nil {
		t.Fatal(err)
	}
	r := &KeptRecord{Holding: holding, For: "us"}
	l, err := r.register(state)
	if err != nil {
		t.Fatal(err)
	}
	dead := &KeptRecord{Holding: Holding{home: filepath.Join(state, keptPrefix+"dead"), doc: keptName, PID: holding.PID, Started: holding.Started - 1}}
	if err := errors.Join(os.Mkdir(dead.home, 0o700), dead.update()); err != nil {
		t.Fatal(err)
	}
	dead.unlock()
	if err := os.Mkdir(filepath.Join(state, keptPrefix+"made"), 0o700); err != nil { // one that is being made
		t.Fatal(err)
	}
	list, err := ListKept(state)
	if err != nil || len(list) != 1 || list[0].PID != os.Getpid() || list[0].For != "us" || !list[0].Alive() {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := os.Stat(dead.home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record of a dead process is left: %v", err)
	}
	c, err := list[0].Dial()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := errors.Join(r.forget(), l.Close(), list[0].Await(t.Context())); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := list[0].Dial(); err == nil {
		t.Error("a socket that is gone was reached")
	}
}

// Whoever looks while a mount becomes a kept image finds one record or the other, and the
// log.
func TestTheProcessOfAMountHasARecordAtAnyTime(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	m := keeping(t, src, Options{})
	state := m.opts.State
	log, err := os.Create(filepath.Join(m.record.home, logName))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	stop, looking, looked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		close(looking)
		for {
			select {
			case <-stop:
				return
			default:
			}
			// In the order in which umount --all looks.
			mounts, err := List(state)
			if err != nil || len(mounts) > 0 {
				continue
			}
			if list, err := ListKept(state); err != nil || len(list) == 0 {
				t.Errorf("it has no record: %v", err)
			}
		}
	}()
	<-looking
	k := kept(t, m)
	close(stop)
	<-looked
	fmt.Fprint(log, "a line")
	if got, err := os.ReadFile(filepath.Join(k.record.home, logName)); err != nil || string(got) != "a line" {
		t.Errorf("the log: %q, %v", got, err)
	}
	drop(t, k)
}

// After umount(8) it takes a process a moment to have something kept that can be dropped.
func TestSettleWaitsForWhatWasUnmounted(t *testing.T) {
	m := keeping(t, testImage(t, imagetest.File("a", "x")), Options{})
	if err := Settle(t.Context(), m.opts.State); err != nil { // nobody has unmounted it
		t.Fatal(err)
	}
	if err := unix.Unmount(m.opts.Dir, 0); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, SignalLook)
	defer signal.Stop(signals)
	settled := make(chan error, 1)
	go func() { settled <- Settle(t.Context(), m.opts.State) }()
	<-signals
	select {
	case err := <-settled:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	m.Look()
	if err := m.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-settled; err != nil {
		t.Error(err)
	}
	drop(t, m.Kept())
}
