package account_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/tiers"
)

// What is read from the origin again is counted in bytes, and who shares a read with
// another in reads.
func TestWhatIsReadAgainAndWhatIsShared(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 2, 100)
	l := account.New(account.Options{})
	come, goOn := make(chan struct{}), make(chan struct{})
	origin := block.ReaderFunc(func(_ context.Context, id block.ID) (block.Block, error) {
		if id == blocks[1].ID() {
			close(come)
			<-goOn
			return blocks[1].Retain(), nil
		}
		return blocks[0].Retain(), nil
	})
	r := tiers.CountedFlight(l.Reader(block.Origin, origin), l.Joined())
	read := func(id block.ID) {
		b, err := r.ReadBlock(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		b.Release()
	}
	for range 3 {
		read(blocks[0].ID())
	}
	done := make(chan struct{}, 3)
	for i := range 3 {
		go func() {
			read(blocks[1].ID())
			done <- struct{}{}
		}()
		if i == 0 {
			<-come
		}
	}
	for late := time.After(10 * time.Second); l.Joined().Load() < 2; {
		select {
		case <-late:
			t.Fatalf("%d have joined", l.Joined().Load())
		case <-time.After(time.Millisecond):
		}
	}
	close(goOn)
	for range 3 {
		<-done
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(l.Collector(account.Gauges{}))
	want := `
# HELP cached_origin_refetched_bytes_total Bytes of blocks read from the object store that this node had read from it before.
# TYPE cached_origin_refetched_bytes_total counter
cached_origin_refetched_bytes_total 200
# HELP cached_shared_reads_total Reads that joined one of the same block in progress.
# TYPE cached_shared_reads_total counter
cached_shared_reads_total 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "cached_origin_refetched_bytes_total", "cached_shared_reads_total"); err != nil {
		t.Error(err)
	}
}
