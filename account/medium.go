package account

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// Reader wraps one medium and counts its reads by outcome. Of [block.Origin] it
// also counts the distinct blocks. It panics if t is not one of [block.Tiers].
func (l *Ledger) Reader(t block.Tier, next block.Reader) block.Reader {
	mustBeTier(t)
	return &mediumReader{ledger: l, tier: t, next: next}
}

// Store is [Ledger.Reader] for a medium that can be filled; it also counts the
// blocks offered to it.
func (l *Ledger) Store(t block.Tier, next block.Store) block.Store {
	mustBeTier(t)
	return &mediumStore{mediumReader{ledger: l, tier: t, next: next}, next}
}

// Integrity wraps a reader that checks what comes from source, and counts the
// blocks that were not what they should be. For a source without such a wrapper
// the corrupt reads of [Ledger.Reader] are counted, which cannot see damage that
// a fail-over below it made good.
func (l *Ledger) Integrity(source block.Tier, next block.Reader) block.Reader {
	mustBeTier(source)
	book := &l.damage[source]
	book.watched.Store(true)
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		b, err := next.ReadBlock(ctx, id)
		if err != nil && kindOf(ctx, err) == corrupt {
			book.found.Add(1)
		}
		return b, err
	})
}

// Admission wraps what decides whether blocks that peers sent are offered to t, and
// counts those that are not. Blocks that came another way were offered there.
func (l *Ledger) Admission(t block.Tier, admit func(block.Block) bool) func(block.Block) bool {
	mustBeTier(t)
	return func(b block.Block) bool {
		admitted := admit(b)
		if !admitted && b.From == block.Peer {
			l.refused[t].Add(1)
		}
		return admitted
	}
}

// A damageBook counts blocks from one source that failed their check.
type damageBook struct {
	watched atomic.Bool // a wrapper of Integrity counts
	found   atomic.Int64
}

func mustBeTier(t block.Tier) {
	if t == block.Unknown || int(t) > len(block.Tiers) {
		panic(fmt.Sprintf("account: %v is no tier", t))
	}
}

type mediumReader struct {
	ledger *Ledger
	tier   block.Tier
	next   block.Reader
}

func (m *mediumReader) ReadBlock(ctx context.Context, id block.ID) (b block.Block, err error) {
	l := m.ledger
	book := &l.shard().media[m.tier]
	book.started.Add(1)
	began := l.clock()
	defer func() {
		if rowOf(b, err) == rowFailed {
			book.failures[kindOf(ctx, err)].Add(1)
		} else {
			took := l.clock() - began
			book.bytes.Add(int64(b.Len()))
			book.took.add(took)
			if l.trace != nil {
				l.examples.media[m.tier].note(l.trace(ctx), took)
			}
			if m.tier == block.Origin && l.distinct.add(id) {
				l.again.Add(int64(b.Len()))
			}
		}
		book.finished.Add(1)
	}()
	return m.next.ReadBlock(ctx, id)
}

type mediumStore struct {
	mediumReader
	store block.Store
}

func (m *mediumStore) WriteBlock(ctx context.Context, b block.Block) error {
	book := &m.ledger.shard().media[m.tier]
	book.offers.Add(1)
	book.offerBytes.Add(int64(b.Len()))
	err := m.store.WriteBlock(ctx, b)
	if err != nil {
		book.offerErrors.Add(1)
	}
	return err
}
