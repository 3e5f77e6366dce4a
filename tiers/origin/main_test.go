package origin

import (
	"context"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// published makes a block.Store of an origin, for the conformance suite.
type published struct{ *Origin }

func (p published) WriteBlock(ctx context.Context, b block.Block) error {
	return p.PutBlock(ctx, b)
}

func open(t testing.TB, opts Options, urls ...string) *Origin {
	t.Helper()
	o, err := Open(context.Background(), urls, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return o
}

func mustPut(t testing.TB, o *Origin, b block.Block) {
	t.Helper()
	if err := o.PutBlock(context.Background(), b); err != nil {
		t.Fatalf("PutBlock: %v", err)
	}
}
