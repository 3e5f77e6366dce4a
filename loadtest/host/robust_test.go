package host

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/zonecache/cached/internal/figure"
)

// TestProveHostRobust mounts many times and many at once, and kills daemons and
// mounts while programs read.
func TestProveHostRobust(t *testing.T) {
	full(t)
	measureRobust(t, newLab(t, forgetful, imageNames()[0]))
}

// anothers is the number of descriptors of a daemon that is not compared with others.
const anothers = 1 << 20

func measureRobust(t *testing.T, l *lab) {
	t.Run("in a row", l.inARow)
	t.Run("at once", l.atOnce)
	t.Run("killed", l.killed)
}

// reportLeaks states what is there that was not before.
func (l *lab) reportLeaks(t *testing.T, name string, before census) {
	t.Helper()
	more := settle(t, l.first, before)
	figure.Report(t, name+".leaked_mounts", float64(more.mounts), "mounts")
	figure.Report(t, name+".leaked_processes", float64(more.processes), "processes")
	if before.descriptors != anothers {
		figure.Report(t, name+".leaked_descriptors", float64(more.descriptors), "descriptors")
	}
	if !figure.Full() && more != (census{}) {
		t.Errorf("left behind: %+v", more)
	}
}

func (l *lab) inARow(t *testing.T) {
	dir, image := l.room(t, "row"), l.images[0].Ref()
	l.umount(t, l.mount(t, l.first, image, dir)) // what the daemon opens once is open now
	before := takeCensus(t, l.first)
	n := pick(200, 5)
	for range n {
		m := l.mount(t, l.first, image, dir)
		if len(list(t, m.Dir)) == 0 {
			t.Errorf("%s is empty", m.Dir)
		}
		l.umount(t, m)
	}
	figure.Report(t, "host.robust.row.mounts", float64(n), "mounts")
	l.reportLeaks(t, "host.robust.row", before)

	again := 0
	for range n {
		m := l.mount(t, l.first, image, dir, "--keep", "10m")
		if m.Kept {
			again++
		}
		if len(list(t, m.Dir)) == 0 {
			t.Errorf("%s is empty", m.Dir)
		}
		l.umount(t, m)
	}
	l.dropKept(t)
	figure.Report(t, "host.robust.kept_row.mounts", float64(n), "mounts")
	figure.Report(t, "host.robust.kept_row.kept", float64(again), "mounts")
	l.reportLeaks(t, "host.robust.kept_row", before)
}

// atOnce mounts one image many times at the same moment on a cold host, and reads
// all of it in each mount.
func (l *lab) atOnce(t *testing.T) {
	l.cold(t)
	n := pick(32, 4)
	before := takeCensus(t, l.first)
	sums := l.together(t, n, digestTree)
	wrong := 0
	for _, sum := range sums {
		if sum != sums[0] {
			wrong++
		}
	}
	books := l.first.Ledger(t)
	perBlock := float64(books.GetOriginReads().GetBlocks()) / float64(books.GetDistinctBlocks())
	figure.Report(t, "host.robust.at_once.mounts", float64(n), "mounts")
	figure.Report(t, "host.robust.at_once.differ", float64(wrong), "mounts")
	figure.Report(t, "host.robust.at_once.origin_reads_per_block", perBlock, "reads")
	figure.Report(t, "host.robust.at_once.served_per_block", float64(books.GetRequests().GetBlocks())/float64(books.GetDistinctBlocks()), "blocks")
	if !figure.Full() && (wrong > 0 || perBlock != 1 || books.GetImbalance() != "") {
		t.Errorf("%d mounts differ, %g origin reads per block, %s", wrong, perBlock, books.GetImbalance())
	}
	// A daemon that was cold has opened its disk and its connections to the origin
	// since: what it keeps for mounts shows when they come again.
	before.descriptors = takeCensus(t, l.first).descriptors
	l.together(t, n, func(string) (sum [sha256.Size]byte, err error) { return sum, nil })
	l.reportLeaks(t, "host.robust.at_once", before)
}

// together mounts the image n times at once, uses each mount, and takes all down.
func (l *lab) together(t *testing.T, n int, use func(dir string) ([sha256.Size]byte, error)) [][sha256.Size]byte {
	t.Helper()
	sums, mounts, errs, dirs := make([][sha256.Size]byte, n), make([]mounted, n), make([]error, n), make([]string, n)
	for i := range dirs {
		dirs[i] = l.room(t, "once")
	}
	var all sync.WaitGroup
	for i, dir := range dirs {
		all.Go(func() {
			if mounts[i], errs[i] = l.tryMount(t, l.first, l.images[0].Ref(), dir); errs[i] == nil {
				sums[i], errs[i] = use(dir)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		l.umount(t, m)
	}
	return sums
}

// list returns the names of the regular files below dir, relative to it.
func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(name, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// digestTree is the digest of the contents below dir.
func digestTree(dir string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		one, _, err := digest(name)
		h.Write(one[:])
		return err
	})
	h.Sum(sum[:0])
	return sum, err
}

// killed kills the daemon and the mount's process at random moments, while programs
// read what is mounted and compare it with the unpacked image.
func (l *lab) killed(t *testing.T) {
	img := l.images[0]
	bundle := filepath.Join(l.room(t, "unpacked"), "bundle")
	on(t, l.first, exec.Command(l.umoci, "unpack", "--image", strings.TrimPrefix(img.Source(), "oci:"), bundle))
	dir := l.room(t, "killed")
	before := takeCensus(t, l.first)
	before.descriptors = anothers
	m := l.mount(t, l.first, img.Ref(), dir)
	load := startLoad(t, filepath.Join(bundle, "rootfs"), dir, pick(4, 2))
	seed := uint64(time.Now().UnixNano())
	some := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	wait := func(most time.Duration) { <-time.After(time.Duration(some.Int64N(int64(most)))) }
	daemons, processes, slowest := 0, 0, time.Duration(0)
	for deadline := time.Now().Add(pick(3*time.Minute, 2*time.Second)); time.Now().Before(deadline) || daemons == 0 || processes == 0; {
		forgetPages(t)
		wait(pick(2*time.Second, 300*time.Millisecond))
		// First one of each, then as it comes.
		if daemons == 0 || processes > 0 && some.IntN(2) == 0 {
			l.first.Kill()
			daemons++
			wait(pick(4*time.Second, 300*time.Millisecond)) // the origin serves, after a while
			l.first.Start(t)
			continue
		}
		load.lives.Add(1)
		if err := syscall.Kill(m.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		processes++
		await(t, "the end of the mount's process", func() error { return alive(m.PID) })
		began := time.Now()
		l.umount(t, m, "--lazy") // programs use it, and what the kernel keeps of it can still be read
		slowest = max(slowest, time.Since(began))
		m = l.mount(t, l.first, img.Ref(), dir)
		load.lives.Add(1)
	}
	load.end()
	l.umount(t, m)
	figure.Report(t, "host.robust.killed.daemons", float64(daemons), "kills")
	figure.Report(t, "host.robust.killed.mounts", float64(processes), "kills")
	figure.Report(t, "host.robust.killed.slowest_umount_s", slowest.Seconds(), "s")
	figure.Report(t, "host.robust.killed.reads", float64(load.reads.Load()), "reads")
	figure.Report(t, "host.robust.killed.failed_alive", float64(load.failed.Load()), "reads")
	figure.Report(t, "host.robust.killed.failed_dead", float64(load.dead.Load()), "reads")
	figure.Report(t, "host.robust.killed.wrong_reads", float64(load.wrong.Load()), "reads")
	figure.Report(t, "host.robust.killed.hung_reads", float64(load.hung.Load()), "reads")
	if !figure.Full() && (load.wrong.Load() > 0 || load.hung.Load() > 0 || load.failed.Load() > 0 || load.reads.Load() == 0) {
		t.Errorf("%d reads, %d wrong, %d hung, %d failed", load.reads.Load(), load.wrong.Load(), load.hung.Load(), load.failed.Load())
	}
	if why := load.why.Load(); why != nil {
		t.Logf("the first that failed: %v\n%s", why, l.log())
	}
	l.reportLeaks(t, "host.robust.killed", before)
}

// alive is an error as long as a process that is no child of this one lives.
func alive(pid int) error {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return nil //nolint:nilerr // it is over
	}
	if stat, err := p.Stat(); err == nil && stat.State != "Z" {
		return errors.New("it lives")
	}
	return nil
}

// A load is programs that read files of a mount and compare them.
type load struct {
	reads, failed, wrong, hung atomic.Int64
	dead                       atomic.Int64 // failed, and the mount's process was dead meanwhile
	lives                      atomic.Int64 // of that process: odd while it is dead
	why                        atomic.Value // text of the first that failed
	stop                       chan struct{}
	readers                    sync.WaitGroup
}

// hangs is how long a read may take: a mount's deadline is 30 s.
const hangs = 60 * time.Second

func startLoad(t *testing.T, want, dir string, readers int) *load {
	t.Helper()
	names := list(t, want)
	sums := make([][sha256.Size]byte, len(names))
	for i, name := range names {
		var err error
		if sums[i], _, err = digest(filepath.Join(want, name)); err != nil {
			t.Fatal(err)
		}
	}
	l := &load{stop: make(chan struct{})}
	for range readers {
		l.readers.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				i := rand.IntN(len(names))
				if !l.read(filepath.Join(dir, names[i]), sums[i]) {
					return
				}
			}
		})
	}
	return l
}

// read reads a file, and reports false where the read does not end.
func (l *load) read(name string, want [sha256.Size]byte) bool {
	type result struct {
		sum [sha256.Size]byte
		err error
	}
	done := make(chan result, 1)
	life := l.lives.Load()
	go func() {
		sum, _, err := digest(name)
		done <- result{sum, err}
	}()
	patience := time.NewTimer(hangs)
	defer patience.Stop()
	select {
	case r := <-done:
		switch {
		case r.err != nil:
			if life%2 == 0 && l.lives.Load() == life {
				l.failed.Add(1)
				l.why.CompareAndSwap(nil, r.err.Error())
			} else {
				l.dead.Add(1)
			}
			<-time.After(5 * time.Millisecond) // whoever mounts again gets the processor
		case r.sum != want:
			l.wrong.Add(1)
		default:
			l.reads.Add(1)
		}
		return true
	case <-patience.C:
		l.hung.Add(1)
		return false
	}
}

func (l *load) end() {
	close(l.stop)
	l.readers.Wait()
}
