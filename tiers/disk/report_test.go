package disk

import (
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
)

// An operator reads it in `cached status`.
func TestSickSaysWhatItMeans(t *testing.T) {
	disk := &faults{}
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, Logger: quiet(), FlushEvery: time.Hour}
	o.files, o.backoff = disk, time.Hour
	tier := open(t, o)
	blocks := blocktest.Blocks(t, 1, 4, 90_000)
	write(t, tier, blocks[:2]...)
	check := func(want string) {
		t.Helper()
		got := ""
		if err := tier.Sick(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	check("")
	disk.writes.Store(int32(syscall.ENOSPC))
	offer(t, tier, blocks[2:]...)
	tier.Settle()
	check("writing refused by the disk: no space left on device; reads go on")
	offer(t, tier, blocks[2])
	if s := tier.Stats(); tier.WriteErrors() != s.WriteErrors || s.WriteErrors == 0 || tier.Lost() != 2 || tier.Declines() != 1 ||
		tier.BytesWritten() != s.BytesWritten || s.BytesWritten < 180_000 || tier.BytesRewritten() != 0 || tier.Evictions() != 0 {
		t.Errorf("the single counts are not those of %+v", s)
	}
	disk.writes.Store(0)
	tier.health.until = time.Time{}
	tier.health.retry(time.Now())
	write(t, tier, blocks[2:]...)
	check("")
	tier.index.failed.Store(true)
	check("the index is damaged; every read is a miss until the next start, which begins empty")
}
