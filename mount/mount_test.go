package mount

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

func TestAllKindsShowTheSameTree(t *testing.T) {
	for _, kind := range []Kind{Auto, EROFS, Loop, Tree} {
		t.Run(string(kind), func(t *testing.T) {
			src := testImage(t, imagetest.EveryKind()...)
			m := start(t, src, Options{As: kind})
			if got := m.Record().Kind; kind != Auto && got != kind {
				t.Errorf("mounted as %s", got)
			}
			same(t, m.opts.Dir, src)
		})
	}
}

func TestTheFileAlone(t *testing.T) {
	src := testImage(t, imagetest.File("a", "content"))
	m := start(t, src, Options{As: File})
	name := imagePath(m.opts.Dir)
	got, err := os.ReadFile(name)
	want := make([]byte, src.size)
	if _, wantErr := src.ReadAt(want, 0); err != nil || wantErr != nil || string(got) != string(want) {
		t.Errorf("%d of %d bytes: %v, %v", len(got), len(want), err, wantErr)
	}
	if _, err := os.OpenFile(name, os.O_RDWR, 0); !errors.Is(err, syscall.EROFS) {
		t.Errorf("opened for writing: %v", err)
	}
}

func TestOverlayTakesWhatIsWritten(t *testing.T) {
	src := testImage(t, imagetest.File("kept", "from the image"), imagetest.File("removed", "x"))
	upper := filepath.Join(t.TempDir(), "upper")
	for round := range 2 { // the second finds what the first has written
		m, err := New(src, Options{Dir: t.TempDir(), State: t.TempDir(), Overlay: upper})
		if err != nil {
			t.Fatal(err)
		}
		dir := m.opts.Dir
		if round == 0 {
			if err := errors.Join(os.WriteFile(filepath.Join(dir, "new"), []byte("written"), 0o600), os.Remove(filepath.Join(dir, "removed"))); err != nil {
				t.Error(err)
			}
		}
		for name, want := range map[string]string{"kept": "from the image", "new": "written", "removed": ""} {
			if got, _ := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
				t.Errorf("round %d: %s is %q, want %q", round, name, got, want)
			}
		}
		end(t, m)
	}
}

func TestBusyMountsStayAndSayWhoUsesThem(t *testing.T) {
	for _, kind := range []Kind{Auto, Tree} {
		m := start(t, testImage(t, imagetest.Dir("d")), Options{As: kind})
		sleep := exec.Command("sleep", "1000")
		sleep.Dir = filepath.Join(m.opts.Dir, "d")
		if err := sleep.Start(); err != nil {
			t.Fatal(err)
		}
		err := m.Unmount()
		var busy *BusyError
		if !errors.As(err, &busy) || len(busy.Holders) != 1 || busy.Holders[0].PID != sleep.Process.Pid || !strings.Contains(err.Error(), "sleep") {
			t.Errorf("%s: unmount: %v", kind, err)
		}
		if _, err := os.Stat(filepath.Join(m.opts.Dir, "d")); err != nil {
			t.Errorf("after that: %v", err)
		}
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
		end(t, m)
	}
}

// What cannot be read is an I/O error, and can be read when it can.
func TestFailedReads(t *testing.T) {
	for _, kind := range []Kind{EROFS, Loop, Tree} {
		t.Run(string(kind), func(t *testing.T) {
			src := testImage(t, imagetest.File("a", strings.Repeat("a", 300_000)), imagetest.File("b", strings.Repeat("b", 300_000)))
			m := start(t, src, Options{As: kind})
			src.fail.Store(true)
			if _, err := os.ReadFile(filepath.Join(m.opts.Dir, "a")); !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v, want an I/O error", err)
			}
			src.fail.Store(false)
			for _, name := range []string{"a", "b"} {
				if got, err := os.ReadFile(filepath.Join(m.opts.Dir, name)); err != nil || string(got) != strings.Repeat(name, 300_000) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
}

func TestUnmountedByAnotherHand(t *testing.T) {
	for _, kind := range []Kind{Auto, Tree, File} {
		m := start(t, testImage(t, imagetest.File("a", "x")), Options{As: kind})
		if err := unix.Unmount(m.opts.Dir, 0); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := m.Wait(ctx); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		clean(t, m.opts.State, m.opts.Dir)
	}
}

// program starts a process that mounts src on dir.
func program(t *testing.T, src *fileSource, dir, state string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir, state)
	serve(t, cmd, src)
	return cmd
}

// serve starts a program that mounts src.
func serve(t *testing.T, cmd *exec.Cmd, src *fileSource) {
	t.Helper()
	cmd.Env = append(os.Environ(), asMount+"="+src.Name())
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if n, err := out.Read(make([]byte, 100)); n == 0 {
		t.Fatalf("the program did not mount: %v", err)
	}
}

func TestUnmountOfAnotherProcess(t *testing.T) {
	src := testImage(t, imagetest.EveryKind()...)
	dir, state := t.TempDir(), t.TempDir()
	cmd := program(t, src, dir, state)
	if list, err := List(state); err != nil || len(list) != 1 || list[0].PID != cmd.Process.Pid || !list[0].Alive() || list[0].Dir != dir {
		t.Errorf("listed: %+v, %v", list, err)
	}
	if _, err := New(src, Options{Dir: dir, State: state}); err == nil || !strings.Contains(err.Error(), "cached umount") {
		t.Errorf("mounted twice: %v", err)
	}
	// The program's main function would end it at SIGTERM; this one has none.
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if _, err := Unmount(t.Context(), state, dir, Gently); err != nil {
		t.Error(err)
	}
	<-done
	clean(t, state, dir)
}

// A killed process leaves mounts that another one clears away, also to mount there
// itself.
func TestMountsOfADeadProcess(t *testing.T) {
	src := testImage(t, imagetest.EveryKind()...)
	for _, next := range []string{"unmount", "mount"} {
		dir, state := t.TempDir(), t.TempDir()
		cmd := program(t, src, dir, state)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if list, err := List(state); err != nil || len(list) != 1 || list[0].Alive() {
			t.Errorf("listed: %+v, %v", list, err)
		}
		if next == "unmount" {
			if _, err := Unmount(t.Context(), state, dir, Gently); err != nil {
				t.Error(err)
			}
			clean(t, state, dir)
			continue
		}
		m := start(t, src, Options{Dir: dir, State: state})
		same(t, dir, src)
		end(t, m)
	}
}

func TestTwoMountsOnOnePlace(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	dir, state := t.TempDir(), t.TempDir()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []*Mount
	for range 8 {
		wg.Go(func() {
			if m, err := New(src, Options{Dir: dir, State: state}); err == nil {
				mu.Lock()
				won = append(won, m)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of 8 mounts on one place came to be, want 1", len(won))
	}
	end(t, won[0])
}

func TestManyMountsAtOnce(t *testing.T) {
	src := testImage(t, imagetest.EveryKind()...)
	state := t.TempDir()
	var wg sync.WaitGroup
	mounts := make([]*Mount, 16)
	for i := range mounts {
		dir := t.TempDir()
		wg.Go(func() {
			m, err := New(src, Options{Dir: dir, State: state})
			if err != nil {
				t.Error(err)
				return
			}
			mounts[i] = m
		})
	}
	wg.Wait()
	for _, m := range mounts {
		if m == nil {
			continue
		}
		same(t, m.opts.Dir, src)
		if err := errors.Join(m.Unmount(), m.Wait(t.Context())); err != nil {
			t.Error(err)
		}
	}
	clean(t, state, "no place")
}

// A mount that its maker cannot use leaves nothing, even where somebody else uses it.
func TestAMountThatIsNotReady(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	dir, state := t.TempDir(), t.TempDir()
	var f *os.File
	_, err := New(src, Options{Dir: dir, State: state, Ready: func() (err error) {
		if f, err = os.Open(filepath.Join(dir, "a")); err != nil {
			t.Error(err)
		}
		return errors.New("it is not ready")
	}})
	if err == nil || err.Error() != "it is not ready" {
		t.Errorf("mounted: %v", err)
	}
	clean(t, state, dir)
	f.Close()
}

func TestBadOptions(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for want, o := range map[string]Options{
		"mkdir -p":        {Dir: filepath.Join(dir, "missing")},
		"not a directory": {Dir: file},
		"no comma":        {Dir: dir, Overlay: filepath.Join(t.TempDir(), "a,b")},
		"both":            {Dir: dir, Overlay: dir},
		"no overlay":      {Dir: dir, Overlay: t.TempDir(), As: File},
	} {
		o.State = t.TempDir()
		if m, err := New(src, o); err == nil {
			end(t, m)
			t.Errorf("%+v: mounted", o)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := Unmount(t.Context(), t.TempDir(), dir, Gently); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unmount of nothing: %v", err)
	}
	if _, err := ParseKind("xfs"); err == nil {
		t.Error("any text is a kind")
	}
}

// What is no EROFS is refused, and leaves nothing.
func TestBytesThatAreNoImage(t *testing.T) {
	needMounts(t)
	name := filepath.Join(t.TempDir(), "zeros")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := openSource(name)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for _, kind := range []Kind{Auto, EROFS, Loop, Tree} {
		dir, state := t.TempDir(), t.TempDir()
		if m, err := New(src, Options{Dir: dir, State: state, As: kind}); err == nil {
			end(t, m)
			t.Errorf("%s: mounted", kind)
		}
		clean(t, state, dir)
	}
}
