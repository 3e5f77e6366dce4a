package disk

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	blocktest.Main(m)
}

// open opens a tier that is closed with the test.
func open(t testing.TB, o Options) *Tier {
	t.Helper()
	tier, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tier.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tier
}

// closeNow ends a tier before its test does.
func closeNow(t testing.TB, tier *Tier) {
	t.Helper()
	if err := tier.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// write offers blocks and fails the test if any was declined.
func write(t testing.TB, tier *Tier, blocks ...block.Block) {
	t.Helper()
	before := tier.Stats()
	for i, b := range blocks {
		if err := tier.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if i%64 == 63 {
			tier.Settle()
		}
	}
	tier.Settle()
	if after := tier.Stats(); after.DeclinedFull != before.DeclinedFull || after.Lost != before.Lost {
		t.Fatalf("blocks were declined or lost: %+v", after)
	}
}

// has reports whether the tier serves id, and fails the test on any error but a miss.
func has(t testing.TB, tier *Tier, id block.ID) bool {
	t.Helper()
	b, err := tier.ReadBlock(context.Background(), id)
	if errors.Is(err, block.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if block.Sum(b.Bytes()) != id {
		t.Fatalf("%s: wrong bytes", id)
	}
	return true
}
