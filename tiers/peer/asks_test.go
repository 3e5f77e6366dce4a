package peer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

func TestWhatComesOfAnAsk(t *testing.T) {
	for _, tt := range []struct {
		verdict placement.Verdict
		err     error
		want    Result
	}{
		{placement.Serve, nil, Served},
		{placement.Redirect, nil, Redirected},
		{placement.Gone, nil, Gone},
		{0, fmt.Errorf("%w: %w", ErrStalled, block.ErrUnavailable), Stalled},
		{0, fmt.Errorf("origin: %w", block.ErrNotFound), Refused},
		{0, block.ErrCorrupt, Refused},
		{0, block.ErrOverloaded, Refused},
		{0, fmt.Errorf("%w: %w", errBrokeOff, block.ErrUnavailable), Failed},
		{0, errClosed, Failed},
		{0, errImpatient, Withdrawn},
		{0, fmt.Errorf("%w: %w", errPassedBy, block.ErrUnavailable), Withdrawn},
		{0, errHedged, Withdrawn},
		{0, context.Canceled, Withdrawn},
		{0, context.DeadlineExceeded, Withdrawn},
		{0, errors.New("?"), Withdrawn},
	} {
		if got := resultOf(tt.verdict, tt.err); got != tt.want {
			t.Errorf("%v, %v: %v, want %v", tt.verdict, tt.err, got, tt.want)
		}
	}
}

// Each ask is counted once at either end, by what came of it; an offer is none.
func TestAsksAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b, lost := z.block(1, 10_000, "b"), z.block(2, 10_000, "b")
		delete(z.blocks, lost.ID())
		blocktest.CheckRead(t, z.nodes["a"].all, b, block.Peer)
		blocktest.CheckError(t, z.nodes["a"].all, lost.ID(), block.ErrNotFound)
		if got := answer(t, z.nodes["c"], b, placement.Ask{Reader: "a"}); got.Verdict != placement.Gone {
			t.Fatalf("c answers %v", got.Verdict)
		}
		answer(t, z.nodes["c"], b, placement.Ask{Reader: "a", Kind: placement.Offer})
		for node, want := range map[string]string{
			"a": "sent map[refused:1 served:1] received map[gone:2], gone 0 taken, 2 given", // b asks the next holder before the origin
			"b": "sent map[gone:2] received map[refused:1 served:1], gone 2 taken, 0 given",
			"c": "sent map[] received map[gone:1], gone 0 taken, 1 given",
		} {
			s := z.nodes[node].tier.Stats()
			if got := fmt.Sprintf("sent %v received %v, gone %d taken, %d given", byResult(s.Asked), byResult(s.Answered), s.GoneTaken, s.GoneGiven); got != want {
				t.Errorf("%s: %s, want %s", node, got, want)
			}
		}
	})
}

func byResult(n [len(Results)]uint64) map[string]uint64 {
	all := map[string]uint64{}
	for i, r := range Results {
		if n[i] > 0 {
			all[r.String()] = n[i]
		}
	}
	return all
}
