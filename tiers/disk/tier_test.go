package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestTierIsAStore(t *testing.T) {
	blocktest.TestStore(t, func(t *testing.T) blocktest.Subject {
		tier := open(t, Options{Dir: t.TempDir(), Capacity: 128 * mib})
		return blocktest.Subject{Store: tier, Tier: block.Disk, Settle: tier.Settle}
	})
}

// Without Settle every read is answered by the queue.
func TestAcceptedBlocksAreReadableAtOnce(t *testing.T) {
	blocktest.TestStore(t, func(t *testing.T) blocktest.Subject {
		tier := open(t, Options{Dir: t.TempDir(), Capacity: 128 * mib, FlushEvery: time.Hour})
		return blocktest.Subject{Store: tier, Tier: block.Disk}
	})
}

func TestRestartKeepsEveryBlock(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 128 * mib}
	blocks := blocktest.Blocks(t, 1, 200, 100_001)
	for round := range 3 {
		tier := open(t, o)
		for i, b := range blocks {
			if round > 0 {
				blocktest.CheckRead(t, tier, b, block.Disk)
			} else {
				write(t, tier, blocks[i])
			}
		}
		if round == 0 && tier.Used() < 200*100_000 {
			t.Errorf("Used() = %d after 20 MB were written", tier.Used())
		}
		closeNow(t, tier)
	}
}

// Close itself must write out what was accepted.
func TestCloseWritesOut(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 128 * mib, FlushEvery: time.Hour}
	blocks := blocktest.Blocks(t, 1, 50, 70_000)
	tier := open(t, o)
	for _, b := range blocks {
		if err := tier.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	closeNow(t, tier)
	tier = open(t, o)
	for _, b := range blocks {
		blocktest.CheckRead(t, tier, b, block.Disk)
	}
}

func TestClosedTier(t *testing.T) {
	tier := open(t, Options{Dir: t.TempDir(), Capacity: 64 * mib})
	b := blocktest.Blocks(t, 1, 1, 1000)[0]
	write(t, tier, b)
	closeNow(t, tier)
	blocktest.CheckError(t, tier, b.ID(), block.ErrUnavailable)
	if err := tier.WriteBlock(context.Background(), b); err != nil {
		t.Errorf("WriteBlock after Close: %v, want a silent decline", err)
	}
	closeNow(t, tier)
	tier.Settle()
}

func TestFullQueueDeclines(t *testing.T) {
	tier := open(t, Options{Dir: t.TempDir(), Capacity: 64 * mib, QueueBytes: 300 * kib, FlushEvery: time.Hour})
	for _, b := range blocktest.Blocks(t, 1, 8, 100_000) {
		if err := tier.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	if s := tier.Stats(); s.DeclinedFull == 0 {
		t.Errorf("800 KB were accepted into a queue of 300 KiB: %+v", s)
	}
}

func TestWriteBudget(t *testing.T) {
	now := time.Unix(0, 0)
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib, WriteBudgetPerDay: 24 * 400_000}
	o.now = func() time.Time { return now }
	tier := open(t, o)
	blocks := blocktest.Blocks(t, 1, 10, 100_000)
	for _, b := range blocks {
		if err := tier.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		tier.Settle()
	}
	if s := tier.Stats(); s.DeclinedBudget != 6 {
		t.Errorf("an hour's budget of 4 blocks: %d of 10 declined, want 6", s.DeclinedBudget)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	other := filepath.Join(dir, "other")
	future := filepath.Join(dir, "future")
	for path, text := range map[string]string{
		file: "x", filepath.Join(other, "precious.txt"): "x", filepath.Join(future, formatFile): "cached disk tier, format 9\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"no directory", Options{Capacity: gib}, "no directory given"},
		{"no capacity", Options{Dir: dir}, "want at least 33554432"},
		{"negative capacity", Options{Dir: dir, Capacity: -1}, "want at least"},
		{"negative option", Options{Dir: dir, Capacity: gib, MinFree: -1}, "negative option"},
		{"missing path", Options{Dir: filepath.Join(dir, "a", "b"), Capacity: gib}, "does not exist: mount the disk there or create it"},
		{"a file", Options{Dir: file, Capacity: gib}, "not a directory"},
		{"somebody's data", Options{Dir: other, Capacity: gib}, "precious.txt is not ours"},
		{"another version", Options{Dir: future, Capacity: gib}, "format 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tier, err := Open(tt.o)
			if err == nil {
				t.Fatal("opened", tier.Close())
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "disk: ") {
				t.Fatalf("error %q, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestTwoTiersOnOneDirectory(t *testing.T) {
	o := Options{Dir: t.TempDir(), Capacity: 64 * mib}
	first := open(t, o)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), o.Dir) || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("second Open: %v", err)
	}
	closeNow(t, first)
	open(t, o)
}

func TestRefusedErrors(t *testing.T) {
	if !refused(syscall.ENOSPC) || !refused(syscall.EIO) || refused(os.ErrNotExist) || refused(nil) {
		t.Fatal("refused sorts errors wrongly")
	}
}
