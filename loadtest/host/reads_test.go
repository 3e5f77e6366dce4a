package host

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
)

// TestProveHostReads measures reads of one large file in a mounted image, beside
// those of the same file on the local disk and through a plain FUSE server.
func TestProveHostReads(t *testing.T) {
	full(t)
	measureReads(t, newLab(t, forgetful))
}

// A pattern is how a file is read.
type pattern struct {
	name string
	size int // of a read
	at   []int64
}

// patterns are sequential and random reads of a file of this many bytes.
func patterns(bytes int64) []pattern {
	some := rand.New(rand.NewPCG(1, 2))
	all := []pattern{{name: "sequential", size: 1 << 20}, {name: "random_128k", size: 128 << 10}, {name: "random_4k", size: 4 << 10}}
	for i := range all {
		p := &all[i]
		for at := int64(0); at < bytes; at += int64(p.size) {
			p.at = append(p.at, at)
		}
		if i > 0 {
			some.Shuffle(len(p.at), func(i, j int) { p.at[i], p.at[j] = p.at[j], p.at[i] })
			p.at = p.at[:min(len(p.at), 4096, max(1, int(bytes>>2)/p.size))]
		}
	}
	return all
}

// rate reads a file by the pattern and returns bytes per second.
func (p pattern) rate(t *testing.T, name string) float64 {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, p.size)
	began := time.Now()
	for _, at := range p.at {
		if _, err := f.ReadAt(buf, at); err != nil {
			t.Fatal(err)
		}
	}
	return float64(len(p.at)*p.size) / time.Since(began).Seconds()
}

func measureReads(t *testing.T, l *lab) {
	size := pick[int64](256<<20, 4<<20)
	tree := l.room(t, "tree")
	local := filepath.Join(tree, "data")
	if err := os.WriteFile(local, blocktest.Bytes(1, int(size)), 0o644); err != nil {
		t.Fatal(err)
	}
	l.zone.Store.PublishSource(t, l.programs, "dir:"+tree, "large:v1")
	through := filepath.Join(l.loopback(t, tree), "data")
	dir := l.room(t, "mounted")
	on(t, l.first, l.programs.Command("read", "large:v1", "--output", "/dev/null")) // into L1
	unix.Sync()                                                                     // what is not written yet is not forgotten
	rates := map[string][]float64{}
	for range pick(3, 1) {
		for _, p := range patterns(size) {
			measure := func(side, name string) {
				forgetPages(t)
				rates[side+".cold_"+p.name] = append(rates[side+".cold_"+p.name], p.rate(t, name))
				rates[side+".warm_"+p.name] = append(rates[side+".warm_"+p.name], p.rate(t, name))
			}
			m := l.mount(t, l.first, "large:v1", dir) // anew: its process keeps blocks
			measure("mounted", filepath.Join(dir, "data"))
			l.umount(t, m)
			measure("loopback", through)
			measure("local", local)
		}
	}
	for name, all := range rates {
		figure.Report(t, "host.read."+name+"_mb_per_s", median(all)/1e6, "MB/s")
		how, mine := strings.CutPrefix(name, "mounted.")
		if !mine {
			continue
		}
		for _, side := range []string{"local", "loopback"} {
			figure.Report(t, "host.read."+how+"_by_"+side, median(all)/median(rates[side+"."+how]), "x")
		}
	}
}

// forgetPages makes the kernel forget what it has read of files.
func forgetPages(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1"), 0); err != nil {
		t.Skipf("needs to drop the kernel's caches: %v", err)
	}
}

// loopback serves a directory by FUSE from a process of its own and returns where.
func (l *lab) loopback(t *testing.T, from string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := l.room(t, "loopback")
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), loopbackEnv+"="+from)
	p := testtool.Start(t, cmd, func(context.Context) bool { return true })
	await(t, "the loopback server", func() error {
		_, err := os.Stat(filepath.Join(dir, "data"))
		if p.Ended() {
			t.Fatalf("the loopback server ended:\n%s", p.Output())
		}
		return err
	})
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
