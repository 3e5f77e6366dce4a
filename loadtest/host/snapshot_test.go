package host

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/figure"
)

// TestProvePrefetchSnapshot restores memory snapshots as Firecracker does: the file
// is mapped privately, and its pages are read when the machine touches them.
func TestProvePrefetchSnapshot(t *testing.T) {
	full(t)
	measureSnapshot(t)
}

const page = 4096

// touchedShare is how much of a memory a restored machine touches before it is ready.
const touchedShare = 0.12

// A restore is how the touched pages lie: in runs.
type restore struct {
	name string
	cut  string               // of the image
	run  func(*rand.Rand) int // pages of the next run
}

func restores() []restore {
	// Most bytes in long runs, of a kernel, a runtime and its heap; most runs short.
	long := func(r *rand.Rand) int { return 1 << r.IntN(11) }
	// Two to three pages, as in "Benchmarking, Analysis, and Optimization of Serverless
	// Function Snapshots" (ASPLOS 2021), but anywhere: nothing lies beside anything.
	short := func(r *rand.Rand) int { return 2 + r.IntN(2) }
	return []restore{
		{"restore", "content", long},
		{"restore_pages", "pages", long},
		{"scattered", "content", short},
		{"scattered_pages", "pages", short},
	}
}

func measureSnapshot(t *testing.T) {
	l := newArtefactLab(t, 1)
	size := pick(512<<20, 24<<20)
	file := filepath.Join(l.dir, "memory")
	if err := os.WriteFile(file, memoryOf(size), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range restores() {
		t.Run(r.name, func(t *testing.T) {
			name := "prefetch.snapshot." + r.name
			image := "memory-" + r.name
			l.zone.Store.PublishSource(t, l.programs, "file:"+file, image, "--cut", r.cut)
			runs := r.runs(size / page)
			touched := 0
			for _, run := range runs {
				touched += run.pages * page
			}
			figure.Report(t, name+".touched_mb", float64(touched)/1e6, "MB")
			figure.Report(t, name+".runs", float64(len(runs)), "runs")
			for i, how := range []string{"lazy", "profile"} {
				l.cold(t)
				moved, blocks := l.restore(t, image, runs)
				l.awaitTraces(t, image, "restore", i+1)
				figure.Report(t, name+"."+how+"_moved_mb", float64(moved)/1e6, "MB")
				figure.Report(t, name+"."+how+"_by_touched", float64(moved)/float64(touched), "x")
				t.Logf("%s: %d blocks", how, blocks)
			}
		})
	}
}

// A run is pages that are touched one after the other.
type run struct{ page, pages int }

// runs are as many as touch their share of a memory, in no order.
func (r restore) runs(pages int) []run {
	rng := rand.New(rand.NewPCG(1, 2))
	taken := make([]bool, pages)
	var all []run
	for left := int(touchedShare * float64(pages)); left > 0; {
		n := min(r.run(rng), left)
		at := rng.IntN(pages - n)
		free := true
		for i := at; i < at+n && free; i++ {
			free = !taken[i]
		}
		if !free {
			continue
		}
		for i := at; i < at+n; i++ {
			taken[i] = true
		}
		all = append(all, run{at, n})
		left -= n
	}
	return all
}

// restore touches the runs of a mapping of the image, and returns how many bytes came
// over the host's link until the last one was touched, and how many blocks.
func (l *lab) restore(t *testing.T, image string, runs []run) (moved, blocks int64) {
	t.Helper()
	before, had := l.first.Host.Traffic(t), served(t, l.first)
	m := l.mount(t, l.first, image, l.room(t, "memory"), "--as", "file", "--workload", "restore")
	defer l.umount(t, m)
	f, err := os.Open(filepath.Join(m.Dir, "image.erofs"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory, err := unix.Mmap(int(f.Fd()), 0, int(m.Bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	for _, r := range runs {
		for i := r.page; i < r.page+r.pages; i++ {
			if got := binary.LittleEndian.Uint64(memory[i*page:]); got != uint64(i) {
				t.Fatalf("page %d begins with %d", i, got)
			}
		}
	}
	moved = l.first.Host.Traffic(t).Since(before).Received
	for tier, c := range served(t, l.first) {
		if tier == cachedv1.Tier_TIER_ORIGIN || tier == cachedv1.Tier_TIER_PEER {
			blocks += c.blocks - had[tier].blocks
		}
	}
	return moved, blocks
}

// memoryOf makes what looks like a machine's memory, the same each time: each page
// begins with its number; of the rest, some pages are zeros, some text, some pointers
// and small numbers, and some what nothing makes smaller.
func memoryOf(size int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	random := rand.NewChaCha8([32]byte{5})
	words := make([][]byte, 400)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%x_%d ", rng.Uint32N(1<<20), i)
	}
	memory := make([]byte, size)
	kind := 0
	for at := 0; at < size; at += page {
		if at%(8*page) == 0 || rng.IntN(4) == 0 { // neighbours are alike
			kind = rng.IntN(10)
		}
		p := memory[at : at+page]
		switch {
		case kind < 3: // zeros
		case kind < 6:
			for n := 0; n < len(p); {
				n += copy(p[n:], words[rng.IntN(len(words))])
			}
		case kind < 9:
			for n := 0; n+8 <= len(p); n += 8 {
				if rng.IntN(3) > 0 {
					binary.LittleEndian.PutUint64(p[n:], 0x7f3a_0000_0000+uint64(rng.Uint32N(1<<24)))
				}
			}
		default:
			random.Read(p)
		}
		binary.LittleEndian.PutUint64(p, uint64(at/page))
	}
	return memory
}
