package zonetest

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zonecache/cached/placement"
)

// members is the scripted membership: each node has a view of its own, which is
// brought up to date some time after something has changed.
type members struct {
	zone *Zone

	mu      sync.Mutex
	here    map[string]bool // joined and not left; dead nodes are still here
	views   map[string]*placement.Ring
	pinned  map[string][]string
	rings   map[string]*placement.Ring // by their members: rings are dear
	timers  map[*time.Timer]struct{}
	mourned map[string]time.Time // when a node was last held for dead
	closed  bool
}

// mourning is for how long notices about one node are one notice.
const mourning = 5 * time.Second

// suspect tells all who can hear it that a node holds another one for dead. As in
// placement/gossip nobody checks whether that is so; the ring changes only where
// the membership itself finds the node dead, of which a notice is a reason to look.
func (m *members) suspect(by, node, reason string) {
	m.mu.Lock()
	now := time.Now()
	heard := now.Sub(m.mourned[node]) < mourning
	if !heard {
		m.mourned[node] = now
	}
	m.mu.Unlock()
	if heard {
		return
	}
	m.after(m.zone.opts.Spread, func() {
		m.settle()
		for _, n := range m.zone.nodes {
			if p := n.current(); p != nil && n.Name != node && m.zone.net.talk(by, n.Name) {
				p.l3.Suspect(node, reason)
			}
		}
	})
}

func (m *members) init(z *Zone) {
	m.zone = z
	m.here, m.pinned = map[string]bool{}, map[string][]string{}
	m.views, m.rings = map[string]*placement.Ring{}, map[string]*placement.Ring{}
	m.timers, m.mourned = map[*time.Timer]struct{}{}, map[string]time.Time{}
}

func (m *members) enter(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.here[name] = true
}

func (m *members) exit(name string) {
	m.mu.Lock()
	delete(m.here, name)
	m.mu.Unlock()
	m.later(m.zone.opts.Spread)
}

// pin fixes a node's view; without names it follows the others again.
func (m *members) pin(name string, names []string) {
	m.mu.Lock()
	if len(names) == 0 {
		delete(m.pinned, name)
	} else {
		m.pinned[name] = slices.Sorted(slices.Values(names))
	}
	m.mu.Unlock()
	m.now(name)
}

// later brings all views up to date after a while.
func (m *members) later(d time.Duration) { m.after(d, m.settle) }

func (m *members) after(d time.Duration, f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		m.mu.Lock()
		delete(m.timers, timer)
		m.mu.Unlock()
		f()
	})
	m.timers[timer] = struct{}{}
}

// settle brings all views up to date.
func (m *members) settle() {
	for _, n := range m.zone.nodes {
		m.now(n.Name)
	}
}

// now brings a node's view up to date.
func (m *members) now(name string) {
	seen := m.sees(name)
	m.mu.Lock()
	if names, ok := m.pinned[name]; ok {
		seen = names
	}
	ring, former := m.ringLocked(seen), m.views[name]
	m.views[name] = ring
	m.mu.Unlock()
	i := slices.IndexFunc(m.zone.nodes, func(n *Node) bool { return n.Name == name })
	if former == nil || i < 0 {
		return
	}
	p := m.zone.nodes[i].current()
	if p == nil || p.l3 == nil { // it is down, or begins
		return
	}
	for _, other := range ring.Members() {
		if _, ok := former.Member(other.Name); !ok && other.Name != name {
			p.l3.Returned(other.Name)
		}
	}
}

// sees returns which nodes one can know to be there.
func (m *members) sees(name string) []string {
	m.mu.Lock()
	names := slices.Sorted(maps.Keys(m.here))
	m.mu.Unlock()
	return slices.DeleteFunc(names, func(other string) bool {
		return other != name && !m.zone.net.talk(name, other)
	})
}

// ring returns a node's view.
func (m *members) ring(name string) *placement.Ring {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.views[name]
}

// truth returns the ring of all nodes that are here and run.
func (m *members) truth() *placement.Ring {
	var names []string
	for _, n := range m.zone.Nodes() {
		names = append(names, n.Name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ringLocked(slices.DeleteFunc(names, func(name string) bool { return !m.here[name] }))
}

func (m *members) ringLocked(names []string) *placement.Ring {
	key := strings.Join(names, " ")
	ring, ok := m.rings[key]
	if !ok {
		var all []placement.Member
		for _, name := range names {
			all = append(all, memberOf(name))
		}
		ring = placement.NewRing(all)
		m.rings[key] = ring
	}
	return ring
}

// close stops the news.
func (m *members) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for timer := range m.timers {
		timer.Stop()
	}
}
