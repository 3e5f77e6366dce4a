package disk

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
)

// The oldest entry is as old as the oldest segment, also after a restart.
func TestTheOldestEntry(t *testing.T) {
	dir := t.TempDir()
	began := time.Now().Add(-24 * time.Hour)
	options := Options{Dir: dir, Capacity: 64 * mib, Logger: quiet(), now: func() time.Time { return began }}
	tier := open(t, options)
	if got := tier.Oldest(); !got.IsZero() {
		t.Errorf("an empty tier's oldest entry came at %v", got)
	}
	write(t, tier, blocktest.Blocks(t, 1, 3, 100_000)...)
	if got := tier.Oldest(); !got.Equal(began) {
		t.Errorf("the oldest came at %v, want %v", got, began)
	}
	closeNow(t, tier)

	files, err := filepath.Glob(filepath.Join(dir, segmentsName, "*"+segmentSuffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	written := began.Add(time.Hour).Truncate(time.Second)
	if err := os.Chtimes(files[0], written, written); err != nil {
		t.Fatal(err)
	}
	options.now = nil
	tier = open(t, options)
	if got := tier.Oldest(); !got.Equal(written) {
		t.Errorf("after a restart the oldest came at %v, want when it was written, %v", got, written)
	}
}
