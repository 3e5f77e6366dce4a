package peer

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// aSplit is how many nodes that fall silent at the same time are a sign that
	// the network is parted, or that many have died: for a single one the limit of
	// silence is there, as a busy node keeps silent, too.
	aSplit = 2
	// silentFor is how long a silence counts whose end nobody hears.
	silentFor = maxPause
)

// silences are the nodes that were given up because they were silent and have
// not been heard of since.
//
// In the seconds until the membership has noticed a partition the reads of this
// node must find who stands in for an owner behind it, and all nodes on this side
// the same one, so that the origin is read once by each side. The first holder of
// whom there are signs of life is that one. Nobody waits for the full limit of
// silence of one holder after the other: once several nodes are silent, one that
// was not heard of lately has a short time only. And since all the blocks are read
// from the origin once more, a read that waits for who reads it there waits longer
// than usual: it would make the origin slower if it read there, too.
type silences struct {
	some atomic.Bool // whether there may be any: reads of a healthy zone look no further

	mu    sync.Mutex
	since map[string]time.Time
}

// begin notes that a node fell silent.
func (s *silences) begin(node string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = map[string]time.Time{}
	}
	s.since[node] = now
	s.some.Store(true)
}

// end notes that a node was heard.
func (s *silences) end(node string) {
	if !s.some.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, node)
	s.some.Store(len(s.since) > 0)
}

// split reports whether several nodes are silent.
func (s *silences) split(now time.Time) bool {
	if !s.some.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for node, since := range s.since {
		if now.Sub(since) >= silentFor {
			delete(s.since, node)
		}
	}
	s.some.Store(len(s.since) > 0)
	return len(s.since) >= aSplit
}

// has reports whether the node is silent.
func (s *silences) has(node string) bool {
	if !s.some.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.since[node]
	return ok
}
