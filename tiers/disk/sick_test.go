package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// until polls, for what another goroutine does.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func offer(t testing.TB, tier *Tier, blocks ...block.Block) {
	t.Helper()
	for _, b := range blocks {
		if err := tier.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that refuses writes costs hits, nothing else, and is tried again.
func TestRefusedWrites(t *testing.T) {
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EROFS} {
		t.Run(e.Error(), func(t *testing.T) {
			disk := &faults{}
			o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Millisecond}
			o.files, o.backoff = disk, time.Millisecond
			old := blocktest.Blocks(t, 1, 20, 90_000)
			fresh := blocktest.Blocks(t, 100, 20, 90_000)
			tier := open(t, o)
			write(t, tier, old...)

			disk.writes.Store(int32(e))
			offer(t, tier, fresh[:5]...)
			tier.Settle()
			if s := tier.Stats(); !errors.Is(s.Sick, e) || s.WriteErrors == 0 {
				t.Fatalf("after refused writes: %+v", s)
			}
			for _, b := range old {
				if e == syscall.ENOSPC {
					has(t, tier, b.ID()) // a full disk makes it give back segments of its own
				} else {
					blocktest.CheckRead(t, tier, b, block.Disk)
				}
			}
			until(t, "declining", func() bool {
				offer(t, tier, fresh[5])
				return tier.Stats().DeclinedSick > 0
			})

			disk.writes.Store(0)
			until(t, "recovery", func() bool {
				offer(t, tier, fresh[6:]...)
				tier.Settle()
				return tier.Stats().Sick == nil && has(t, tier, fresh[6].ID())
			})
		})
	}
}

// Pebble would end the process when its log cannot be written.
func TestRefusedIndexWrites(t *testing.T) {
	index := &indexFaults{FS: vfs.Default}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Millisecond}
	o.indexFS, o.backoff = index, time.Millisecond
	old := blocktest.Blocks(t, 1, 20, 90_000)
	fresh := blocktest.Blocks(t, 100, 20, 90_000)
	tier := open(t, o)
	write(t, tier, old...)

	index.errno.Store(int32(syscall.ENOSPC))
	offer(t, tier, fresh...)
	until(t, "sickness", func() bool { return tier.Stats().Sick != nil })
	for _, b := range old {
		blocktest.CheckRead(t, tier, b, block.Disk)
	}
	index.errno.Store(0)
	tier.Settle()
	until(t, "recovery", func() bool {
		offer(t, tier, fresh...)
		tier.Settle()
		return tier.Stats().Sick == nil && has(t, tier, fresh[19].ID())
	})

	// Close while the disk is full must neither wait nor harm what is there.
	index.errno.Store(int32(syscall.ENOSPC))
	more := blocktest.Blocks(t, 200, 20, 90_000)
	offer(t, tier, more...)
	closeNow(t, tier)
	index.errno.Store(0)
	tier = open(t, o)
	for _, b := range append(old, fresh[19]) {
		blocktest.CheckRead(t, tier, b, block.Disk)
	}
	write(t, tier, more...)
}

func TestUnreadableSegmentIsUnavailableOnce(t *testing.T) {
	disk := &faults{}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet()}
	o.files = disk
	tier := open(t, o)
	b := blocktest.Blocks(t, 1, 1, 90_000)[0]
	write(t, tier, b)
	disk.reads.Store(int32(syscall.EIO))
	blocktest.CheckError(t, tier, b.ID(), block.ErrUnavailable)
	disk.reads.Store(0)
	write(t, tier, b)
	blocktest.CheckRead(t, tier, b, block.Disk)
	if s := tier.Stats(); s.ReadErrors != 1 {
		t.Errorf("%d read errors counted, want 1", s.ReadErrors)
	}
}

// mount mounts a file system of size bytes, or skips the test.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root: run this test as root to see a disk that is really full")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount tmpfs: %v: run as root where mounting is allowed", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// The disk is smaller than the capacity and somebody else fills the rest.
func TestReallyFullDisk(t *testing.T) {
	dir := mountTmpfs(t, "48m")
	o := Options{Dir: filepath.Join(dir, "l2"), Capacity: 256 * mib, Logger: quiet(), FlushEvery: time.Millisecond}
	o.backoff = time.Millisecond
	tier := open(t, o)
	var ids []block.ID
	for i := range 400 { // 80 MB
		b := blocktest.Block(uint64(i), 200_000)
		ids = append(ids, b.ID())
		offer(t, tier, b)
		b.Release()
		if i%20 == 19 {
			tier.Settle()
		}
	}
	hits := 0
	for _, id := range ids {
		if has(t, tier, id) {
			hits++
		}
	}
	if hits < 50 {
		t.Errorf("%d of 400 blocks served from a full disk", hits)
	}
	closeNow(t, tier)

	// Not a byte is left when it starts again.
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ballast.Close() }()
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	tier = open(t, o)
	after := 0
	for _, id := range ids {
		if has(t, tier, id) {
			after++
		}
	}
	if after < hits/2 {
		t.Errorf("%d of %d hits are left after a start on a full disk", after, hits)
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := mountTmpfs(t, "96m")
	o := Options{Dir: filepath.Join(dir, "l2"), Capacity: 64 * mib, Logger: quiet()}
	blocks := blocktest.Blocks(t, 1, 20, 90_000)
	tier := open(t, o)
	write(t, tier, blocks...)
	closeNow(t, tier)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	tier = open(t, o)
	for _, b := range blocks {
		blocktest.CheckRead(t, tier, b, block.Disk)
	}
	fresh := blocktest.Blocks(t, 100, 1, 1000)[0]
	offer(t, tier, fresh)
	tier.Settle()
	blocktest.CheckError(t, tier, fresh.ID(), block.ErrNotFound)
	if s := tier.Stats(); !s.ReadOnly || s.DeclinedSick != 1 {
		t.Errorf("on a read-only file system: %+v", s)
	}
	closeNow(t, tier)
	o.Dir = filepath.Join(dir, "other")
	if _, err := Open(o); err == nil {
		t.Error("a new tier opened on a read-only file system")
	}
}
