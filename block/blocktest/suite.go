package blocktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/zonecache/cached/block"
)

// A Subject is a Store under test.
type Subject struct {
	Store block.Store
	Tier  block.Tier // what its blocks must be labelled with
	// Settle returns once all writes that returned are readable or declined.
	// Nil means they are at once.
	Settle func()
}

// TestStore runs the contract of [block.Store] against a fresh Store per test.
// The Store must have room for 64 MiB.
func TestStore(t *testing.T, open func(t *testing.T) Subject) {
	tests := []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"a miss is ErrNotFound", testMiss},
		{"what was written is read", testRoundTrip},
		{"sizes from one byte to the largest", testSizes},
		{"writing twice is harmless", testWriteTwice},
		{"a writer's release does not free the store's copy", testWriterRelease},
		{"a dead context is an error or a block", testDeadContext},
		{"readers and writers at once", testConcurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			if s.Settle == nil {
				s.Settle = func() {}
			}
			tt.run(t, s)
		})
	}
}

func put(t *testing.T, s Subject, b block.Block) {
	t.Helper()
	if err := s.Store.WriteBlock(context.Background(), b); err != nil {
		t.Fatalf("WriteBlock(%s): %v", b.ID().Short(), err)
	}
	s.Settle()
}

// CheckRead fails the test unless r serves exactly want, labelled tier.
func CheckRead(t testing.TB, r block.Reader, want block.Block, tier block.Tier) {
	t.Helper()
	got, err := r.ReadBlock(context.Background(), want.ID())
	if err != nil {
		t.Fatalf("ReadBlock(%s): %v", want.ID().Short(), err)
	}
	defer got.Release()
	if got.ID() != want.ID() || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatalf("ReadBlock(%s): wrong bytes", want.ID().Short())
	}
	if got.From != tier {
		t.Fatalf("ReadBlock(%s): served by %s, want %s", want.ID().Short(), got.From, tier)
	}
}

// CheckError fails the test unless reading id from r fails with want.
func CheckError(t testing.TB, r block.Reader, id block.ID, want error) {
	t.Helper()
	b, err := r.ReadBlock(context.Background(), id)
	if !errors.Is(err, want) {
		t.Fatalf("ReadBlock(%s): error %v, want %v", id.Short(), err, want)
	}
	if !b.IsZero() {
		t.Fatalf("ReadBlock(%s): an error and a block", id.Short())
	}
}

func testMiss(t *testing.T, s Subject) {
	CheckError(t, s.Store, block.Sum([]byte("nobody wrote this")), block.ErrNotFound)
	CheckError(t, s.Store, block.ID{}, block.ErrNotFound)
}

func testRoundTrip(t *testing.T, s Subject) {
	for _, b := range Blocks(t, 1, 16, 100_000) {
		put(t, s, b)
		CheckRead(t, s.Store, b, s.Tier)
	}
}

func testSizes(t *testing.T, s Subject) {
	for i, n := range []int{1, 2, 511, 512, 4095, 4096, 4097, 65536, 262144, block.MaxSize - 1, block.MaxSize} {
		b := Block(uint64(i), n)
		put(t, s, b)
		CheckRead(t, s.Store, b, s.Tier)
		b.Release()
	}
}

func testWriteTwice(t *testing.T, s Subject) {
	b := Block(7, 50_000)
	defer b.Release()
	put(t, s, b)
	put(t, s, b)
	CheckRead(t, s.Store, b, s.Tier)
}

func testWriterRelease(t *testing.T, s Subject) {
	b := Block(8, 50_000)
	put(t, s, b)
	b.Release()
	for i := range 50 { // disturb the pool
		Block(uint64(100+i), 50_000).Release()
	}
	want := Block(8, 50_000)
	defer want.Release()
	CheckRead(t, s.Store, want, s.Tier)
}

func testDeadContext(t *testing.T, s Subject) {
	b := Block(9, 10_000)
	defer b.Release()
	put(t, s, b)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got, err := s.Store.ReadBlock(ctx, b.ID())
	if (err == nil) == got.IsZero() {
		t.Fatalf("block %v and error %v: want exactly one", got, err)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	got.Release()
}

func testConcurrent(t *testing.T, s Subject) {
	const workers, perWorker = 8, 24
	blocks := Blocks(t, 1000, perWorker, 80_000)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range perWorker {
				b := blocks[(i*7+w*3)%perWorker]
				if err := s.Store.WriteBlock(context.Background(), b); err != nil {
					errs <- fmt.Errorf("write: %w", err)
					return
				}
				got, err := s.Store.ReadBlock(context.Background(), b.ID())
				if errors.Is(err, block.ErrNotFound) {
					continue // not visible yet, or declined
				}
				if err != nil {
					errs <- fmt.Errorf("read: %w", err)
					return
				}
				ok := bytes.Equal(got.Bytes(), b.Bytes())
				got.Release()
				if !ok {
					errs <- fmt.Errorf("block %s: wrong bytes", b.ID().Short())
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
