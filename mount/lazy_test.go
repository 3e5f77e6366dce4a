package mount

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

// A lazy unmount takes nothing from those who use the image, and leaves the place to the
// next mount at once; the end of the last of them ends what is left.
func TestLazyUnmountLeavesOpenFiles(t *testing.T) {
	body := strings.Repeat("a", 2<<20)
	for _, o := range []Options{{}, {As: Loop}, {As: Tree}, {As: File}, {Overlay: "upper"}} {
		t.Run(fmt.Sprint(o.As, o.Overlay), func(t *testing.T) {
			name := "a"
			switch {
			case o.As == File:
				name = imageFile
			case o.Overlay != "":
				o.Overlay = filepath.Join(t.TempDir(), o.Overlay)
			}
			src := testImage(t, imagetest.File("a", body))
			m, err := New(src, withPlaces(t, o))
			if o.As != Tree && unable(err) {
				t.Skipf("this kernel: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(filepath.Join(m.opts.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := unix.Unmount(m.opts.Dir, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			m.Look()
			if err := m.Wait(t.Context()); err != nil || m.Kept() == nil || m.Kept().Held() {
				t.Fatalf("left %v: %v", m.Kept(), err)
			}
			list, err := ListKept(m.opts.State)
			if err != nil || len(list) != 1 || !list[0].Over || list[0].Dir != m.opts.Dir || list[0].Kind != m.record.Kind || list[0].PID != os.Getpid() {
				t.Fatalf("listed: %+v, %v", list, err)
			}
			left := filepath.Base(list[0].home)
			clean(t, m.opts.State, m.opts.Dir, left)

			next, err := New(src, Options{Dir: m.opts.Dir, State: m.opts.State})
			if err != nil {
				t.Fatalf("the next mount: %v", err)
			}
			p := make([]byte, 1<<20)
			if n, err := f.ReadAt(p, 1<<20); n != len(p) || name == "a" && string(p) != body[:len(p)] {
				t.Errorf("read %d bytes: %v", n, err)
			}
			if err := next.Unmount(); err != nil {
				t.Error(err)
			}
			if err := next.Wait(t.Context()); err != nil || next.Kept() != nil {
				t.Errorf("left of one that nobody uses: %v, %v", next.Kept(), err)
			}
			clean(t, m.opts.State, m.opts.Dir, left)
			select {
			case <-m.Kept().Ended():
				t.Error("it ended under a reader")
			default:
			}
			f.Close()
			<-m.Kept().Ended()
			forget(t, m.Kept())
		})
	}
}

// The process of a mount may be of an earlier version, which never leaves the place to
// others: it is told what that one understands, and nobody waits for it.
func TestLazyUnmountOfAnEarlierVersion(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			var m *Mount
			want := []os.Signal{unix.SIGTERM}
			if keep {
				m, want = keeping(t, src, Options{}), []os.Signal{SignalKeepNothing, SignalLook}
			} else {
				m = start(t, src, Options{})
			}
			if !m.record.Leaves {
				t.Error("a process of this version is taken for an earlier one")
			}
			m.record.Leaves = false
			if err := m.record.update(); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(filepath.Join(m.opts.Dir, "a"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got := make(chan os.Signal, 8)
			signal.Notify(got, unix.SIGTERM, SignalKeepNothing, SignalLook)
			defer signal.Stop(got)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if r, err := Unmount(ctx, m.opts.State, m.opts.Dir, Lazily); err != nil || r.Leaves {
				t.Errorf("unmounted %+v: %v", r, err)
			}
			said := map[os.Signal]bool{}
			for range want {
				said[<-got] = true // in no order
			}
			for _, s := range want {
				if !said[s] {
					t.Errorf("it was told %v, want %v", said, want)
				}
			}
			if _, err := find(m.opts.State, m.opts.Dir); err != nil {
				t.Errorf("the record of a process that still serves: %v", err)
			}
		})
	}
}

// withPlaces returns o with directories of its own.
func withPlaces(t *testing.T, o Options) Options {
	t.Helper()
	needMounts(t)
	o.Dir, o.State, o.Image = t.TempDir(), t.TempDir(), "test"
	return o
}

// A place where something is mounted is none for another mount, whatever state directory
// says so, and who is told hears whose it is.
func TestAPlaceOfAnotherStateDirectory(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	for _, o := range []Options{{}, {As: Loop}, {As: Tree}, {As: File}, {Overlay: "upper"}} {
		t.Run(fmt.Sprint(o.As, o.Overlay), func(t *testing.T) {
			if o.Overlay != "" {
				o.Overlay = filepath.Join(t.TempDir(), o.Overlay)
			}
			m := start(t, src, o)
			by, want := fmt.Sprintf("process %d", os.Getpid()), "--state-dir "+m.opts.State+" "+m.opts.Dir
			if m.record.Kind == Tree || m.record.Kind == File {
				want = "with another --state-dir"
				if !kernelTellsServers(t) {
					by = "a process"
				}
			}
			other := Options{Dir: m.opts.Dir, State: t.TempDir(), Image: "other"}
			_, err := New(src, other)
			if err == nil || !strings.Contains(err.Error(), by) || !strings.Contains(err.Error(), want) {
				t.Errorf("mounted on top of another: %v", err)
			}
			if left, err := os.ReadDir(other.State); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// kernelTellsServers reports whether the kernel says who serves a FUSE file system, of
// which this process serves one.
func kernelTellsServers(t *testing.T) bool {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(infos, func(name string) bool {
		info, err := os.ReadFile(name)
		return err == nil && strings.Contains(string(info), "fuse_connection:")
	})
}

// A mount that was bound elsewhere is in the way there, and is not its process's to take
// away.
func TestAPlaceWithABoundMount(t *testing.T) {
	src := testImage(t, imagetest.File("a", "x"))
	m, dir := start(t, src, Options{As: EROFS}), t.TempDir()
	if err := unix.Mount(m.opts.Dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := New(src, Options{Dir: dir, State: m.opts.State}); err == nil || !strings.Contains(err.Error(), "bound there from "+m.opts.Dir) {
		t.Errorf("got %v", err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Error(err)
	}
}
