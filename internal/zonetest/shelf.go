package zonetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/zonecache/cached/block"
)

// A Shelf is a store that remembers which blocks it has and none of their bytes:
// it compares what it is offered with the truth and serves the truth, so that a
// large zone needs little memory. It keeps the latest offers.
type Shelf struct {
	tier  block.Tier
	truth map[block.ID]block.Block
	wrong func(format string, args ...any)

	mu       sync.Mutex
	capacity int // blocks; 0: none
	order    []block.ID
	held     map[block.ID]struct{}
	offers   int
}

var _ block.Store = (*Shelf)(nil)

func newShelf(tier block.Tier, capacity int, truth map[block.ID]block.Block, wrong func(string, ...any)) *Shelf {
	return &Shelf{tier: tier, capacity: capacity, truth: truth, wrong: wrong, held: map[block.ID]struct{}{}}
}

// ReadBlock implements [block.Reader].
func (s *Shelf) ReadBlock(_ context.Context, id block.ID) (block.Block, error) {
	s.mu.Lock()
	_, ok := s.held[id]
	s.mu.Unlock()
	if !ok {
		return block.Block{}, fmt.Errorf("shelf %s: read %s: %w", s.tier, id.Short(), block.ErrNotFound)
	}
	return s.truth[id].Retain().WithFrom(s.tier), nil
}

// WriteBlock implements [block.Writer].
func (s *Shelf) WriteBlock(_ context.Context, b block.Block) error {
	if truth, ok := s.truth[b.ID()]; !ok || !bytes.Equal(truth.Bytes(), b.Bytes()) {
		s.wrong("%s is offered wrong bytes for %s, from %s", s.tier, b.ID().Short(), b.From)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers++
	if _, ok := s.held[b.ID()]; ok || s.capacity == 0 {
		return nil
	}
	if len(s.order) == s.capacity {
		delete(s.held, s.order[0])
		s.order = s.order[1:]
	}
	s.held[b.ID()] = struct{}{}
	s.order = append(s.order, b.ID())
	return nil
}

// Holds reports whether the shelf has a block.
func (s *Shelf) Holds(id block.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[id]
	return ok
}

// Len returns how many blocks the shelf has.
func (s *Shelf) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)
}

// Offers returns how many blocks the shelf was offered.
func (s *Shelf) Offers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offers
}

// Clear forgets everything.
func (s *Shelf) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
	s.order = nil
}
