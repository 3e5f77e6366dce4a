package zone_test

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// The links of the issue.
var (
	fast = netlab.Link{Rate: 100 * netlab.Mbit}
	// calm links are slow enough for the processors of a small machine, with the
	// switch's buffer of a port that jumbo frames of 15 senders need at that rate.
	calm = netlab.Link{Rate: 50 * netlab.Mbit, Queue: 1 << 20}
)

// options are of a zone as large as the measurement is meant to be: 16 hosts and
// 256 MiB, or 3 hosts and 2 MiB for a quick look.
func options(t *testing.T, spread zone.Spread) zone.Options {
	t.Helper()
	if figure.Instrumented {
		t.Skip("runs other processes, which are not instrumented: nothing is found here that a plain build does not find")
	}
	o := zone.Options{Programs: built.Programs(t), Nodes: 3, Link: fast, OriginLink: fast, Image: 2 << 20, Spread: spread}
	if figure.Full() {
		o.Nodes, o.Image = 16, 256<<20
	}
	// Other sizes, to look into something.
	if n, err := strconv.Atoi(os.Getenv("ZONE_NODES")); err == nil {
		o.Nodes = n
	}
	if n, err := strconv.ParseInt(os.Getenv("ZONE_MIB"), 10, 64); err == nil {
		o.Image = n << 20
	}
	o.Flags = strings.Fields(os.Getenv("ZONE_FLAGS"))
	return o
}

// bound is the physical limit of a burst: how long it takes until all of n hosts
// hold an image, when what one host sends another one has received before.
func bound(n int, img zone.Image, rate netlab.Rate) time.Duration {
	rounds := math.Floor(math.Log2(float64(n)))
	return time.Duration((1 + rounds/float64(img.Blocks)) * float64(rate.Transfer(img.Bytes)))
}

// last returns when the last agent had its last block, in seconds.
func last(reports []report.Report) float64 {
	var t float64
	for _, r := range reports {
		t = max(t, r.Last)
	}
	return t
}

// whole checks that every agent read the whole image and nothing else.
func whole(t *testing.T, img zone.Image, reports []report.Report) {
	t.Helper()
	for i, r := range reports {
		if r.Failed > 0 || r.Blocks != img.Blocks || r.Bytes != img.Bytes || r.Manifest != img.Manifest {
			t.Errorf("agent %d read %d of %d blocks, %d failed, %d wrong: %v", i, r.Blocks, img.Blocks, r.Failed, r.Wrong, r.Errors)
		}
	}
}

// tally sums what agents say.
func tally(reports []report.Report) (sum report.Report) {
	sum.From = map[block.Tier]int64{}
	for _, r := range reports {
		sum.Blocks += r.Blocks
		sum.Bytes += r.Bytes
		sum.Failed += r.Failed
		sum.Wrong += r.Wrong
		sum.Refused += r.Refused
		sum.CPU += r.CPU
		for tier, n := range r.From {
			sum.From[tier] += n
		}
		sum.Slowest = max(sum.Slowest, r.Slowest)
	}
	return sum
}

// checkReads fails a small measurement that full size judges by its goals: all
// reads must have given blocks, and no block may be read from the origin more than
// most times.
func checkReads(t *testing.T, sum report.Report, reads zone.OriginReads, most int) {
	t.Helper()
	if figure.Full() {
		return
	}
	if sum.Failed > 0 || sum.Wrong > 0 || sum.Blocks == 0 {
		t.Errorf("%d reads, %d failed, %d wrong", sum.Blocks, sum.Failed, sum.Wrong)
	}
	if reads.Most() > most {
		t.Errorf("a block was read %d times from the origin, want at most %d", reads.Most(), most)
	}
}

// checkLedgers compares the daemons' books with the store's. A read that nobody
// waited for any more is in the store's only; there may be so many of them.
func checkLedgers(t *testing.T, books zone.Books, reads zone.OriginReads, mayGiveUp int64) {
	t.Helper()
	if books.OriginBlocks > int64(reads.Total) || books.OriginBytes > reads.Bytes {
		t.Errorf("the ledgers say that %d blocks, %d bytes, came from the origin; it says %d blocks, %d bytes", books.OriginBlocks, books.OriginBytes, reads.Total, reads.Bytes)
	}
	if gaveUp := int64(reads.Total) - books.OriginBlocks; gaveUp > mayGiveUp {
		t.Errorf("the ledgers miss %d of %d reads of the origin, want at most %d that were given up", gaveUp, reads.Total, mayGiveUp)
	} else if gaveUp > 0 {
		t.Logf("%d of %d reads of the origin were given up", gaveUp, reads.Total)
	}
}
