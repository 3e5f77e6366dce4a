package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zonecache/cached/placement"
)

// A State is what this node thinks of a member.
type State uint8

// The states of members. Those alive or suspect, and only those, are in the ring.
const (
	Alive      State = iota
	Suspect          // this node's last probe was not answered, or another one found it dead; the verdict is pending
	Leaving          // it drains: it still answers, and owns nothing
	Unreadable       // what it says of itself cannot be read by this version
)

var stateNames = [...]string{Alive: "alive", Suspect: "suspect", Leaving: "leaving", Unreadable: "unreadable"}

// String returns "alive", "suspect", "leaving" or "unreadable".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// A MemberStatus is a member as this node sees it.
type MemberStatus struct {
	placement.Member
	State  State
	Self   bool
	Gossip netip.AddrPort // where it gossips
	RTT    time.Duration  // of its last answered probe; 0: not probed yet
	Age    time.Duration  // since it was first seen alive
	Reason string         // why it is suspect, leaving or unreadable; else ""
}

type entry struct {
	member     placement.Member
	gossip     netip.AddrPort
	rtt        time.Duration
	since      time.Time
	leaving    bool
	unreadable string
	doubt      string // why it is suspected
}

const (
	lostTime = time.Hour // how long the dead are looked for
	maxLost  = 1024
)

// A table holds the members. Its methods do memory work only: memberlist calls
// them with its own lock held.
type table struct {
	self string

	mu      sync.Mutex
	members map[string]*entry
	lost    map[string]lostNode // who died, by name: a partition may end
	news    []string            // what happened since the last ring, for the log
}

type lostNode struct {
	gossip netip.AddrPort
	at     time.Time
}

func newTable(self string) *table {
	return &table{self: self, members: map[string]*entry{}, lost: map[string]lostNode{}}
}

// put takes what a node announces; err is set when it could not be read.
func (t *table) put(name string, gossip netip.AddrPort, m meta, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.members[name]
	if e == nil {
		e = &entry{since: time.Now()}
		t.members[name] = e
		t.tell("joined", name)
	}
	delete(t.lost, name)
	if m.leaving && !e.leaving {
		t.tell("leaving", name)
	}
	e.gossip, e.doubt, e.leaving, e.unreadable = gossip, "", m.leaving, ""
	if err != nil {
		e.unreadable = err.Error()
		e.member = placement.Member{Name: name}
		return
	}
	e.member = placement.Member{Name: name, Address: m.peer, Zone: m.zone, Weight: m.weight, Rate: m.rate, Version: m.version}
}

// remove forgets a member and says whether it went without a word.
func (t *table) remove(name string) (died bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.members[name]
	if e == nil {
		return false
	}
	delete(t.members, name)
	if e.leaving {
		t.tell("left", name)
		return false
	}
	t.tell("died", name)
	if len(t.lost) < maxLost {
		t.lost[name] = lostNode{gossip: e.gossip, at: time.Now()}
	}
	return true
}

func (t *table) tell(what, name string) {
	if len(t.news) < 16 {
		t.news = append(t.news, what+" "+name)
	}
}

// answered notes the answer to a probe; doubt notes a reason to suspect.
func (t *table) answered(name string, rtt time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.members[name]; e != nil {
		e.rtt, e.doubt = max(rtt, 1), ""
	}
}

func (t *table) doubt(name, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.members[name]; e != nil {
		e.doubt = why
	}
}

func (t *table) has(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.members[name] != nil
}

// gossipOf returns where a member gossips.
func (t *table) gossipOf(name string) (netip.AddrPort, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.members[name]
	if e == nil {
		return netip.AddrPort{}, false
	}
	return e.gossip, true
}

func (t *table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.members)
}

// ring returns who belongs into the ring, by name, and the news since last time.
func (t *table) ring() ([]placement.Member, []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var in []placement.Member
	for _, e := range t.members {
		if !e.leaving && e.unreadable == "" {
			in = append(in, e.member)
		}
	}
	slices.SortFunc(in, func(a, b placement.Member) int { return strings.Compare(a.Name, b.Name) })
	news := t.news
	t.news = nil
	return in, news
}

// others returns where the other members gossip, and where the dead did.
func (t *table) others() (alive map[netip.AddrPort]string, lost []netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	alive = make(map[netip.AddrPort]string, len(t.members))
	for name, e := range t.members {
		if name != t.self {
			alive[e.gossip] = name
		}
	}
	for name, l := range t.lost {
		if time.Since(l.at) > lostTime {
			delete(t.lost, name)
			continue
		}
		lost = append(lost, l.gossip)
	}
	return alive, lost
}

func (t *table) statuses() []MemberStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]MemberStatus, 0, len(t.members))
	for name, e := range t.members {
		s := MemberStatus{Member: e.member, Self: name == t.self, Gossip: e.gossip, RTT: e.rtt, Age: time.Since(e.since)}
		switch {
		case e.unreadable != "":
			s.State, s.Reason = Unreadable, e.unreadable
		case e.leaving:
			s.State, s.Reason = Leaving, "drains"
		case e.doubt != "":
			s.State, s.Reason = Suspect, e.doubt
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b MemberStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}
