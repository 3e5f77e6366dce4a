package zone_test

import (
	"math"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// bound is the physical limit of a burst: how long it takes until all of n hosts
// hold size bytes, when one host sends what another one has and blocks are m.
func bound(n int, blocks, size int64, rate netlab.Rate) time.Duration {
	rounds := math.Floor(math.Log2(float64(n)))
	return time.Duration((1 + rounds/float64(blocks)) * float64(rate.Transfer(size)))
}

// last returns when the last agent had its last block.
func last(reports []report.Report) time.Duration {
	var t float64
	for _, r := range reports {
		t = max(t, r.Last)
	}
	return time.Duration(t * float64(time.Second))
}

// whole checks that every agent read the whole image.
func whole(t *testing.T, img zone.Image, reports []report.Report) {
	t.Helper()
	for i, r := range reports {
		if r.Failed > 0 || r.Blocks != img.Blocks || r.Bytes != img.Bytes || r.Manifest != img.Manifest {
			t.Errorf("agent %d read %d of %d blocks, %d failed, %d wrong: %v", i, r.Blocks, img.Blocks, r.Failed, r.Wrong, r.Errors)
		}
	}
}

func TestProveZoneBurstAlone(t *testing.T) {
	o := zone.Options{Nodes: 4, Link: netlab.Link{Rate: 100 * netlab.Mbit}, OriginLink: netlab.Link{Rate: 100 * netlab.Mbit}, Image: 4 << 20}
	if figure.Full() {
		o.Image = 64 << 20
	}
	o.Programs = programs(t)
	z := zone.Start(t, o)
	before := z.Store.Host.Traffic(t)
	reports := z.Burst(t)
	whole(t, z.Image, reports)
	sent := z.Store.Host.Traffic(t).Since(before).Sent
	books := z.Books(t)
	least := bound(o.Nodes, z.Image.Blocks, z.Image.Bytes, o.Link.Rate)
	figure.Report(t, "zone.alone4.vs_bound", last(reports).Seconds()/least.Seconds(), "x")
	figure.Report(t, "zone.alone4.origin_reads_per_block", float64(books.OriginBlocks)/float64(z.Image.Blocks), "reads")
	figure.Report(t, "zone.alone4.origin_link_per_byte", float64(sent)/float64(z.Image.Bytes), "x")
	t.Logf("%d blocks, %d bytes; %+v; first %+v", z.Image.Blocks, z.Image.Bytes, books, reports[0])
}
