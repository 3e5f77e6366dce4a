package zone

import (
	"testing"

	"github.com/zonecache/cached/api/cachedv1"
)

// Books are the sums of the daemons' ledgers.
type Books struct {
	OriginBlocks, OriginBytes int64
	Requests                  int64
	Errors                    int64
	Served                    map[cachedv1.Tier]int64 // blocks to agents, by the tier of their daemon
}

// Since returns what has come since an earlier look at the books.
func (b Books) Since(earlier Books) Books {
	served := map[cachedv1.Tier]int64{}
	for tier, n := range b.Served {
		served[tier] = n - earlier.Served[tier]
	}
	return Books{
		OriginBlocks: b.OriginBlocks - earlier.OriginBlocks, OriginBytes: b.OriginBytes - earlier.OriginBytes,
		Requests: b.Requests - earlier.Requests, Errors: b.Errors - earlier.Errors, Served: served,
	}
}

// SumBooks sums the ledgers of nodes and checks that each balances.
func SumBooks(tb testing.TB, nodes []*Node) Books {
	tb.Helper()
	b := Books{Served: map[cachedv1.Tier]int64{}}
	for _, n := range nodes {
		l := n.Ledger(tb)
		if l.GetImbalance() != "" {
			tb.Errorf("%s: the books do not balance: %s", n.Name, l.GetImbalance())
		}
		b.OriginBlocks += int64(l.GetOriginReads().GetBlocks())
		b.OriginBytes += int64(l.GetOriginReads().GetBytes())
		b.Requests += int64(l.GetRequests().GetBlocks())
		for _, s := range l.GetServed() {
			b.Served[s.GetTier()] += int64(s.GetCount().GetBlocks())
		}
		for _, e := range l.GetErrors() {
			b.Errors += int64(e.GetCount())
		}
	}
	return b
}
