package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

// answer is a reader that gives b's retained reference labelled t, or err.
func answer(b block.Block, t block.Tier, err error) block.Reader {
	return block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) {
		if err != nil {
			return block.Block{}, err
		}
		return b.Retain().WithFrom(t), nil
	})
}

func read(ctx context.Context, r block.Reader, id block.ID) {
	b, err := r.ReadBlock(ctx, id)
	if err == nil {
		b.Release()
	}
}

func call(image string, c block.Cause) context.Context {
	return block.WithCall(context.Background(), block.Call{Image: image, Cause: c})
}

func balance(t testing.TB, l *Ledger) Snapshot {
	t.Helper()
	s := l.Snapshot()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRequestsAreCountedByTierCauseAndImage(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	l := New(Options{})
	for i, tier := range block.Tiers {
		for j, cause := range block.Causes {
			for range 10*i + j + 1 {
				read(call("flask", cause), l.Requests(answer(b, tier, nil)), b.ID())
			}
		}
	}
	read(call("node", block.Demand), l.Requests(answer(b, block.Disk, nil)), b.ID())
	read(call("node", block.Repair), l.Requests(answer(b, 0, block.ErrNotFound)), b.ID())

	s := balance(t, l)
	for i, tier := range block.Tiers {
		for j, cause := range block.Causes {
			n := int64(10*i + j + 1)
			flask := s.Images[0].Served.Of(cause).Tier(tier)
			if want := (Count{n, 1000 * n}); *flask != want {
				t.Errorf("flask, %s, %s: %+v, want %+v", tier, cause, *flask, want)
			}
		}
	}
	if got, want := s.Requests.Served.Demand.L2, (Count{12, 12_000}); got != want {
		t.Errorf("demand reads served by L2: %+v, want %+v", got, want)
	}
	if got, want := s.Images[1].Total(), (Served{L2: Count{1, 1000}, Errors: 1}); got != want {
		t.Errorf("node: %+v, want %+v", got, want)
	}
	if got, want := s.Requests.Total().Requests(), int64(10*3*6+4*6+2); got != want || s.Requests.Finished != want {
		t.Errorf("%d requests, %d finished, want %d", got, s.Requests.Finished, want)
	}
	if got := s.Requests.Served.Repair.Errors; got != 1 || s.Requests.Errors.Repair.NotFound != 1 {
		t.Errorf("repair errors: %d, not found: %d", got, s.Requests.Errors.Repair.NotFound)
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want Errors
	}{
		{"miss", nil, block.ErrNotFound, Errors{NotFound: 1}},
		{"wrapped", nil, fmt.Errorf("disk: %w", block.ErrCorrupt), Errors{Corrupt: 1}},
		{"unavailable", nil, block.ErrUnavailable, Errors{Unavailable: 1}},
		{"overloaded", nil, block.ErrOverloaded, Errors{Overloaded: 1}},
		{"unknown", nil, errors.New("?"), Errors{Other: 1}},
		{"not there and no answer", nil, errors.Join(block.ErrNotFound, block.ErrUnavailable), Errors{Unavailable: 1}},
		{"damage and no answer", nil, errors.Join(block.ErrUnavailable, block.ErrCorrupt), Errors{Corrupt: 1}},
		{"the caller left", dead, fmt.Errorf("%w: %w", block.ErrUnavailable, context.Canceled), Errors{Canceled: 1}},
		{"a deadline of the medium's own", nil, fmt.Errorf("%w: %w", block.ErrUnavailable, context.DeadlineExceeded), Errors{Unavailable: 1}},
		{"a bare deadline", nil, context.DeadlineExceeded, Errors{Canceled: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := tt.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			l := New(Options{})
			next := answer(block.Block{}, 0, tt.err)
			_, err := l.Requests(l.Reader(block.Disk, next)).ReadBlock(ctx, block.ID{1})
			if !errors.Is(err, tt.err) {
				t.Fatalf("the error became %v", err)
			}
			s := balance(t, l)
			if s.Requests.Errors.Demand != tt.want || s.Tiers[1].Failures != tt.want {
				t.Errorf("requests %+v, medium %+v, want %+v", s.Requests.Errors.Demand, s.Tiers[1].Failures, tt.want)
			}
		})
	}
}

func TestABlockServedByNobodyDoesNotBalance(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	for _, from := range []block.Tier{block.Unknown, 5, 200} {
		l := New(Options{})
		read(context.Background(), l.Requests(answer(b, from, nil)), b.ID())
		if err := l.Check(); err == nil || !strings.Contains(err.Error(), "no tier") {
			t.Errorf("from %v: Check says %v", from, err)
		}
	}
}

// A reader that breaks its contract must not break the ledger.
func TestNeitherBlockNorErrorCountsAsFailed(t *testing.T) {
	l := New(Options{})
	empty := block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { return block.Block{}, nil })
	read(call("", 77), l.Requests(l.Reader(block.Peer, empty)), block.ID{1})
	s := balance(t, l)
	if s.Requests.Errors.Demand.Other != 1 || s.Tiers[2].Failures.Other != 1 || s.Requests.Served.Demand.Errors != 1 {
		t.Fatalf("%+v", s.Requests)
	}
}

// A server recovers from panics of a request: it must not stay in flight.
func TestAPanicIsAccounted(t *testing.T) {
	l := New(Options{})
	broken := block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) { panic("broken") })
	func() {
		defer func() { _ = recover() }()
		read(context.Background(), l.Requests(l.Reader(block.Peer, broken)), block.ID{1})
	}()
	if s := balance(t, l); s.Requests.InFlight != 0 || s.Tiers[2].InFlight != 0 || s.Requests.Errors.Demand.Other != 1 {
		t.Fatalf("%+v", s.Requests)
	}
}

func TestRequestsInFlight(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	l := New(Options{})
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := l.Requests(l.Reader(block.Origin, block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) {
			<-gate
			return b.Retain(), nil
		})))
		for range 3 {
			go read(context.Background(), r, b.ID())
		}
		synctest.Wait()
		if s := balance(t, l); s.Requests.InFlight != 3 || s.Tiers[3].InFlight != 3 {
			t.Errorf("in flight: %d requests, %d of L4", s.Requests.InFlight, s.Tiers[3].InFlight)
		}
		close(gate)
		synctest.Wait()
		if s := balance(t, l); s.Requests.InFlight != 0 || s.Requests.Served.Demand.L4.Blocks != 3 {
			t.Errorf("after: %+v", s.Requests)
		}
	})
}

func TestLatencyIsCountedWhereItBelongs(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		for _, d := range []time.Duration{0, 10 * time.Microsecond, 30 * time.Microsecond, 2 * time.Millisecond, time.Minute} {
			read(context.Background(), l.Requests(block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) {
				time.Sleep(d) //nolint:forbidigo // the time of the synctest bubble
				return b.Retain().WithFrom(block.Peer), nil
			})), b.ID())
		}
		got := balance(t, l).Requests.Latency.Demand.L3
		want := make([]int64, bucketCount)
		want[0], want[2], want[7], want[bucketCount-1] = 2, 1, 1, 1
		if !reflect.DeepEqual(got.Buckets, want) {
			t.Errorf("buckets %v, want %v", got.Buckets, want)
		}
		if want := time.Minute + 2040*time.Microsecond; got.Total != want {
			t.Errorf("total %v, want %v", got.Total, want)
		}
	})
}

func TestQuantiles(t *testing.T) {
	var none Latency
	if got := none.Quantile(0.5); got != 0 {
		t.Errorf("median of nothing: %v", got)
	}
	l := Latency{Buckets: make([]int64, bucketCount)}
	l.Buckets[0], l.Buckets[3] = 50, 50 // up to 10 µs, 50 to 100 µs
	for q, want := range map[float64]time.Duration{0.25: 5 * time.Microsecond, 0.5: 10 * time.Microsecond, 0.75: 75 * time.Microsecond, 1: 100 * time.Microsecond} {
		if got := l.Quantile(q); got != want {
			t.Errorf("quantile %g: %v, want %v", q, got, want)
		}
	}
	slow := Latency{Buckets: make([]int64, bucketCount)}
	slow.Buckets[bucketCount-1] = 3
	if got := slow.Quantile(0.5); got != 10*time.Second {
		t.Errorf("beyond the last bound: %v", got)
	}
}

func TestMediumCountsReadsAndOffers(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 3, 500)
	fake := blocktest.NewFake(block.Disk)
	defer fake.Close()
	l := New(Options{})
	st := l.Store(block.Disk, fake)
	read(context.Background(), st, blocks[0].ID())
	for _, b := range blocks {
		if err := st.WriteBlock(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		blocktest.CheckRead(t, st, b, block.Disk)
	}
	m := balance(t, l).Tiers[1]
	m.Latency = Latency{}
	want := Medium{Tier: "l2", Started: 4, Hits: Count{3, 1500}, Failures: Errors{NotFound: 1}, Offers: Count{3, 1500}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, want %+v", m, want)
	}
}

func TestStoreContract(t *testing.T) {
	blocktest.TestStore(t, func(t *testing.T) blocktest.Subject {
		fake := blocktest.NewFake(block.Disk)
		l := New(Options{})
		t.Cleanup(func() {
			fake.Close()
			balance(t, l)
		})
		return blocktest.Subject{Store: l.Store(block.Disk, fake), Tier: block.Disk}
	})
}

func TestOriginReadsPerDistinctBlock(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 10, 100)
	l := New(Options{})
	for i := range 20 {
		b := blocks[i%10]
		read(context.Background(), l.Reader(block.Origin, answer(b, block.Origin, nil)), b.ID())
		read(context.Background(), l.Reader(block.Disk, answer(b, block.Disk, nil)), b.ID())
	}
	read(context.Background(), l.Reader(block.Origin, answer(block.Block{}, 0, block.ErrNotFound)), block.ID{9})
	o := balance(t, l).Origin
	if o.Reads != (Count{20, 2000}) || o.DistinctBlocks != 10 || o.DistinctSaturated || o.ReadsPerBlock() != 2 {
		t.Fatalf("%+v, %g reads a block", o, o.ReadsPerBlock())
	}
	if got := (Origin{}).ReadsPerBlock(); got != 0 {
		t.Fatalf("%g reads a block without any", got)
	}
}

// Two hosts that read the same blocks, half of which each owns: ten blocks in twenty reads.
func TestOwnedBlocksOfAZoneCountOnce(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 10, 100)
	var reads, distinct, owned int64
	for host := range 2 {
		l := New(Options{Owns: func(id block.ID) bool {
			return slices.IndexFunc(blocks, func(b block.Block) bool { return b.ID() == id })%2 == host
		}})
		for _, b := range blocks {
			read(context.Background(), l.Reader(block.Origin, answer(b, block.Origin, nil)), b.ID())
		}
		o := balance(t, l).Origin
		reads, distinct, owned = reads+o.Reads.Blocks, distinct+o.DistinctBlocks, owned+o.OwnedBlocks
	}
	if reads != 20 || distinct != 20 || owned != 10 {
		t.Errorf("%d reads of %d distinct blocks, %d owned: want 20, 20, 10", reads, distinct, owned)
	}
}

func TestDistinctBlocksBeyondTheBoundAreFlagged(t *testing.T) {
	l := New(Options{DistinctBlocks: 5})
	blocks := blocktest.Blocks(t, 1, 7, 100)
	for i, b := range blocks {
		read(context.Background(), l.Reader(block.Origin, answer(b, block.Origin, nil)), b.ID())
		o := balance(t, l).Origin
		if want := int64(min(i+1, 5)); o.DistinctBlocks != want || o.DistinctSaturated != (i >= 5) {
			t.Fatalf("after %d blocks: %+v", i+1, o)
		}
	}
}

func TestOriginRequests(t *testing.T) {
	l := New(Options{})
	l.OriginRequest("get", 100)
	l.OriginRequest("get", 50)
	l.OriginRequest("list", 0)
	l.OriginRequest("frobnicate", 7)
	want := []Operation{{"get", 2, 150}, {"has", 0, 0}, {"put", 0, 0}, {"list", 1, 0}, {"delete", 0, 0}, {"other", 1, 7}}
	if got := l.Snapshot().Origin.Requests; !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
}

func TestDamageIsCountedWhereTheCheckStands(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	bad := answer(block.Block{}, 0, fmt.Errorf("verify: %w", block.ErrCorrupt))
	l := New(Options{})
	read(context.Background(), l.Reader(block.Disk, bad), b.ID()) // the disk tier checks itself

	// A fail-over: the first origin's block is damaged, the second's is good.
	checked := l.Integrity(block.Origin, bad)
	l4 := l.Reader(block.Origin, block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if _, err := checked.ReadBlock(ctx, id); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("the error became %v", err)
		}
		return b.Retain(), nil
	}))
	read(context.Background(), l4, b.ID())
	s := balance(t, l)
	if s.Tiers[1].Damaged != 1 || s.Tiers[3].Damaged != 1 || s.Tiers[3].Failures.Corrupt != 0 {
		t.Fatalf("disk %+v, origin %+v", s.Tiers[1], s.Tiers[3])
	}
}

func TestWrappingNoTierPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("a reader of no tier was wrapped")
		}
	}()
	New(Options{}).Reader(block.Unknown, answer(block.Block{}, 0, block.ErrNotFound))
}

func TestSnapshotSurvivesJSON(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	l := New(Options{})
	read(call("flask", block.Prefetch), l.Requests(answer(b, block.Disk, nil)), b.ID())
	want := l.Snapshot()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Snapshot
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("got %s, %v\nwant %s", again, err, text)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

func TestServedBetweenTwoSnapshots(t *testing.T) {
	early := Served{L1: Count{1, 10}, L4: Count{2, 20}, Errors: 1}
	gain := Served{L1: Count{5, 50}, L2: Count{1, 1}, L3: Count{2, 2}, Errors: 3}
	if got := early.Plus(gain).Minus(early); got != gain {
		t.Fatalf("%+v, want %+v", got, gain)
	}
}
