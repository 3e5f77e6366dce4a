package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/placement"
)

// forgetAfter is how long a node that left the ring is remembered.
const forgetAfter = 10 * time.Minute

// A neighbour is what this node knows of another one.
type neighbour struct {
	name    string
	breaker breaker
	counts  counts
	used    atomic.Int64 // unix nanoseconds
	heard   atomic.Int64 // when it last made a sign of life, unix nanoseconds
	left    atomic.Int32 // asks left behind
	silent  *silences    // of all

	mu      sync.Mutex
	fetches map[*watch]struct{} // under way
}

// peers are the neighbours by name.
type peers struct {
	mu     sync.RWMutex
	known  map[string]*neighbour
	silent silences
	gone   counts // of those forgotten, and of strangers
}

// get returns the neighbour of that name, who need not be in the ring.
func (p *peers) get(name string) *neighbour {
	p.mu.RLock()
	n := p.known[name]
	p.mu.RUnlock()
	if n != nil {
		return n
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n = p.known[name]; n == nil {
		n = &neighbour{name: name, silent: &p.silent, fetches: map[*watch]struct{}{}}
		n.used.Store(time.Now().UnixNano())
		p.known[name] = n
	}
	return n
}

// knows reports whether there is a neighbour of that name.
func (p *peers) knows(name string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[name] != nil
}

// countsOf returns the counts of a reader. Where readers give names of their own,
// as in a zone without certificates, those that the ring has not share theirs, so
// that nobody fills this node's memory with names.
func (t *Tier) countsOf(reader string) *counts {
	if !t.member(reader) {
		return &t.peers.gone
	}
	return &t.peers.get(reader).counts
}

// all returns the neighbours in no order, after forgetting those who left the
// ring long ago.
func (p *peers) all(ring *placement.Ring, now time.Time) []*neighbour {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*neighbour, 0, len(p.known))
	for name, n := range p.known {
		if _, ok := ring.Member(name); !ok && now.UnixNano()-n.used.Load() > int64(forgetAfter) {
			p.gone.add(&n.counts)
			delete(p.known, name)
			continue
		}
		all = append(all, n)
	}
	return all
}

// alive notes a sign of life.
func (n *neighbour) alive() {
	n.heard.Store(time.Now().UnixNano())
	n.silent.end(n.name)
}

// lives reports whether the node made a sign of life within the last d.
func (n *neighbour) lives(d time.Duration) bool {
	return time.Now().UnixNano()-n.heard.Load() < int64(d)
}

// doubts reports whether a node may be behind a partition: others have fallen
// silent, and it was not heard of lately.
func (t *Tier) doubts(n *neighbour) bool {
	return t.peers.silent.split(time.Now()) && !n.lives(t.opts.Silence)
}

// fellSilent notes that a node was given up for its silence. If it is one of
// several, reads that wait for others in doubt do not wait much longer.
func (t *Tier) fellSilent(n *neighbour) {
	now := time.Now()
	t.peers.silent.begin(n.name, now)
	if !t.peers.silent.split(now) {
		return
	}
	for _, other := range t.peers.all(t.opts.Ring(), now) {
		if other != n && t.doubts(other) {
			other.hurry()
		}
	}
}

// hurry gives the node a short time to say something to those who wait for it.
func (n *neighbour) hurry() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.fetches {
		w.hurry()
	}
}

// Returned says that a node is in the ring again, as after a partition: it is asked
// at once, since others read the origin for its blocks meanwhile. Its failures count
// on until it has sent a block, so that the next one ends that.
func (t *Tier) Returned(node string) {
	t.peers.get(node).breaker.answered()
	t.peers.silent.end(node)
}

// Suspect says that others hold the node for dead: it is passed by for a moment,
// and reads under way from it that make no progress go elsewhere. What this node
// has heard itself counts more than what others did not.
func (t *Tier) Suspect(node, reason string) {
	if !t.member(node) && !t.peers.knows(node) {
		t.counter.forget(node)
		return
	}
	n := t.peers.get(node)
	if n.lives(t.opts.Silence / 2) {
		return
	}
	n.breaker.noticed(reason, time.Now())
	t.counter.forget(node)
	n.hurry()
}
