package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// segmentFiles returns the paths of all segments in dir.
func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, segmentsName, "*"+segmentSuffix))
	if err != nil || len(list) == 0 {
		t.Fatalf("segments in %s: %v, %v", dir, list, err)
	}
	return list
}

// Whatever happens to a segment file, reads are right, a miss, or ErrCorrupt;
// the damage is counted, the entry forgotten, and the block can be stored anew.
func TestDamagedSegments(t *testing.T) {
	edit := func(f func(p []byte) []byte) func(string) error {
		return func(path string) error {
			p, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, f(p), 0o600)
		}
	}
	tests := []struct {
		name   string
		damage func(path string) error
	}{
		{"removed", os.Remove},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }},
		{"cut in the middle of a block", func(path string) error { return os.Truncate(path, 350_000) }},
		{"flipped bits", edit(func(p []byte) []byte {
			for i := 50_000; i < len(p); i += 100_000 {
				p[i] ^= 1
			}
			return p
		})},
		{"zeroed", edit(func(p []byte) []byte { clear(p); return p })},
		{"shifted", edit(func(p []byte) []byte { return append([]byte{0}, p...) })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Millisecond}
			blocks := blocktest.Blocks(t, 1, 10, 90_000) // less than one segment
			tier := open(t, o)
			write(t, tier, blocks...)
			closeNow(t, tier)
			for _, path := range segmentFiles(t, o.Dir) {
				if err := tt.damage(path); err != nil {
					t.Fatal(err)
				}
			}
			tier = open(t, o)
			bad := 0
			for _, b := range blocks {
				got, err := tier.ReadBlock(context.Background(), b.ID())
				if err == nil {
					if block.Sum(got.Bytes()) != b.ID() {
						t.Fatal("wrong bytes served")
					}
					got.Release()
					continue
				}
				bad++
				if !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, block.ErrNotFound) {
					t.Errorf("read: %v, want a miss or ErrCorrupt", err)
				}
			}
			until(t, "the count", func() bool { s := tier.Stats(); return s.Corrupt+s.Lost >= int64(bad) })
			s := tier.Stats()
			if bad == 0 || s.Corrupt+s.Lost != int64(bad) {
				t.Errorf("%d bad reads, counted %d corrupt and %d lost", bad, s.Corrupt, s.Lost)
			}
			tier.Settle()
			for _, b := range blocks { // the second read of a damaged block is a plain miss
				if err := readErr(tier, b.ID()); err != nil && !errors.Is(err, block.ErrNotFound) {
					t.Errorf("second read: %v, want a miss", err)
				}
			}
			write(t, tier, blocks...)
			for _, b := range blocks {
				blocktest.CheckRead(t, tier, b, block.Disk)
			}
		})
	}
}

func readErr(r block.Reader, id block.ID) error {
	b, err := r.ReadBlock(context.Background(), id)
	b.Release()
	return err
}

// A chain reads below after ErrCorrupt and offers what it got: the offer must
// not be taken for a block that is already there.
func TestCorruptBlockIsReplacedByTheNextOffer(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet()}
	b := blocktest.Blocks(t, 1, 1, 90_000)[0]
	tier := open(t, o)
	write(t, tier, b)
	file, err := os.OpenFile(segmentFiles(t, o.Dir)[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte("damage"), 5000)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	blocktest.CheckError(t, tier, b.ID(), block.ErrCorrupt)
	write(t, tier, b)
	blocktest.CheckRead(t, tier, b, block.Disk)
}

// A damaged index is moved aside; the tier starts empty and works.
func TestDamagedIndexStartsEmpty(t *testing.T) {
	each := func(pattern string, f func(path string) error) func(dir string) error {
		return func(dir string) error {
			list, err := filepath.Glob(filepath.Join(dir, indexName, pattern))
			if len(list) == 0 {
				return errors.New("nothing matches " + pattern)
			}
			for _, path := range list {
				err = errors.Join(err, f(path))
			}
			return err
		}
	}
	scribble := func(path string) error { return os.WriteFile(path, []byte("not what Pebble wrote"), 0o600) }
	tests := []struct {
		name   string
		damage func(dir string) error
	}{
		{"manifest scribbled on", each("MANIFEST-*", scribble)},
		{"manifest emptied", each("MANIFEST-*", func(p string) error { return os.Truncate(p, 0) })},
		{"manifest removed", each("MANIFEST-*", os.Remove)},
		{"tables removed", each("*.sst", os.Remove)},
		{"tables emptied", each("*.sst", func(p string) error { return os.Truncate(p, 0) })},
		{"tables scribbled on", each("*.sst", scribble)},
		{"options scribbled on", each("OPTIONS-*", scribble)},
		{"marked by the run before", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, damagedFile), nil, 0o600)
		}},
		{"all removed", each("*", os.Remove)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet()}
			blocks := blocktest.Blocks(t, 1, 10, 90_000)
			tier := open(t, o)
			write(t, tier, blocks...)
			if err := tier.index.db.Flush(); err != nil {
				t.Fatal(err)
			}
			closeNow(t, tier)
			if err := tt.damage(o.Dir); err != nil {
				t.Fatal(err)
			}
			for range 2 { // damage that shows only in use is cured by the second Open
				tier = open(t, o)
				for _, b := range blocks {
					if err := readErr(tier, b.ID()); err != nil && !errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrUnavailable) {
						t.Errorf("read: %v", err)
					}
				}
				closeNow(t, tier)
			}
			tier = open(t, o)
			write(t, tier, blocks...)
			for _, b := range blocks {
				blocktest.CheckRead(t, tier, b, block.Disk)
			}
		})
	}
}
