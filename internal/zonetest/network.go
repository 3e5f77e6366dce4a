package zonetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// An Answerer answers asks of other nodes, as peer.Tier does. It calls queued at
// least every Timing.Silence while it lets the asker wait.
type Answerer func(ctx context.Context, id block.ID, ask placement.Ask, queued func() error) (peer.Answer, error)

// Timing are the network's own times.
type Timing struct {
	Latency  time.Duration // of every message, one way; default 100 us
	Silence  time.Duration // after which a silent node is given up; default 1 s, as the daemon's zone.peer-silence
	PerDepth time.Duration // added to Silence within the bytes for each node they are passed on by; default 250 ms
	GiveUp   time.Duration // after which a sender that cannot get rid of a message gives up; default 5 s
}

func (t Timing) withDefaults() Timing {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&t.Latency, 100 * time.Microsecond},
		{&t.Silence, time.Second},
		{&t.PerDepth, 250 * time.Millisecond},
		{&t.GiveUp, 5 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	return t
}

// chunkSize is how many bytes travel in one piece, windowChunks how many pieces
// of one transfer are under way at once.
const (
	chunkSize    = 16 << 10
	windowChunks = 16
)

// A Network joins hosts by name. Its faults change at any time.
type Network struct {
	timing  Timing
	serving sync.WaitGroup

	mu      sync.Mutex
	hosts   map[string]*host
	oneWay  map[pair]bool          // messages that get lost
	slow    map[pair]*slowness     // of one direction between two hosts
	twice   bool                   // every ask is delivered twice
	asks    map[pair]int           // sent
	kinds   map[placement.Kind]int // sent
	answers map[string]int         // by verdict, or by "error"
	bytes   int64                  // of blocks, received
	changed chan struct{}          // closed at each change of who reaches whom
	trace   func(Event)
}

type pair struct{ from, to string }

type slowness struct {
	link    link
	latency time.Duration
}

// A host is one place on the network. Its process may be started again.
type host struct {
	name     string
	up, down link

	// Guarded by Network.mu.
	latency time.Duration
	answer  Answerer      // nil: nothing listens
	dead    chan struct{} // closed when the process ends
	hung    bool
	hangs   int
	group   int
	trick   Trick
	sent    int64 // bytes of blocks
}

// NewNetwork returns a network without hosts.
func NewNetwork(timing Timing) *Network {
	return &Network{
		timing: timing.withDefaults(),
		hosts:  map[string]*host{}, oneWay: map[pair]bool{}, slow: map[pair]*slowness{},
		asks: map[pair]int{}, kinds: map[placement.Kind]int{}, answers: map[string]int{},
		changed: make(chan struct{}),
	}
}

// Listen starts a process on the host called name, which must have none, and
// returns its transport.
func (n *Network) Listen(name string, answer Answerer) peer.Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	if h.answer != nil {
		panic("zonetest: two processes on " + name)
	}
	h.answer, h.dead = answer, make(chan struct{})
	n.changeLocked()
	return &transport{net: n, host: h, dead: h.dead}
}

// Kill ends the process on a host: its connections break, nothing listens.
func (n *Network) Kill(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	if h.answer != nil {
		h.answer = nil
		close(h.dead)
		n.changeLocked()
	}
}

// Close heals everything and returns once no ask is being answered. The
// processes must have ended.
func (n *Network) Close() {
	n.Partition()
	n.mu.Lock()
	for _, h := range n.hosts {
		h.hung = false
	}
	n.changeLocked()
	n.mu.Unlock()
	n.serving.Wait()
}

// Hang makes a host silent, as the loss of its power does; nobody is told.
func (n *Network) Hang(name string) { n.setHung(name, true) }

// Wake ends Hang.
func (n *Network) Wake(name string) { n.setHung(name, false) }

//nolint:revive // the flag is what is set
func (n *Network) setHung(name string, hung bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	if hung && !h.hung {
		h.hangs++
	}
	h.hung = hung
	n.changeLocked()
}

// Hangs returns how often a host has hung, and whether it does now.
func (n *Network) Hangs(name string) (times int, now bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	return h.hangs, h.hung
}

// Partition lets only hosts of the same group reach each other; hosts in none
// are a group of their own. Without groups it heals everything.
func (n *Network) Partition(groups ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		h.group = 0
	}
	for i, names := range groups {
		for _, name := range names {
			n.hostLocked(name).group = i + 1
		}
	}
	clear(n.oneWay)
	n.changeLocked()
}

// Lose drops all messages from one host to another, not those back, until
// Partition is called.
func (n *Network) Lose(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.oneWay[pair{from, to}] = true
	n.changeLocked()
}

// A Link is how fast a host's network card is.
type Link struct {
	Up, Down float64       // bytes a second; 0: no limit
	Latency  time.Duration // on top of the network's, for each message it sends
}

// Shape sets a host's link.
func (n *Network) Shape(name string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hostLocked(name)
	h.up.setRate(l.Up)
	h.down.setRate(l.Down)
	h.latency = l.Latency
}

// ShapePair makes messages of one host to one other slower; the zero Link ends it.
func (n *Network) ShapePair(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l == (Link{}) {
		delete(n.slow, pair{from, to})
		return
	}
	n.slow[pair{from, to}] = &slowness{link: link{rate: l.Up}, latency: l.Latency}
}

// Play makes a host do something wrong to whoever asks it, until it is given
// another trick.
func (n *Network) Play(name string, t Trick) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hostLocked(name).trick = t
}

// Delivery says how often an ask arrives.
type Delivery int

// The deliveries.
const (
	Once Delivery = iota
	Twice
)

// Trace calls f at the end of each ask; f may be called from many goroutines.
func (n *Network) Trace(f func(Event)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trace = f
}

// Deliver sets how often each ask arrives.
func (n *Network) Deliver(d Delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.twice = d == Twice
}

// Traffic is what a network has carried.
type Traffic struct {
	Asks    int
	Kinds   map[placement.Kind]int
	Answers map[string]int   // by verdict, or "error"
	Bytes   int64            // of blocks, received
	Sent    map[string]int64 // of blocks, by host
}

// Traffic returns what the network has carried so far.
func (n *Network) Traffic() Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := Traffic{Kinds: map[placement.Kind]int{}, Answers: map[string]int{}, Bytes: n.bytes, Sent: map[string]int64{}}
	for k, c := range n.kinds {
		t.Kinds[k] = c
		t.Asks += c
	}
	for k, c := range n.answers {
		t.Answers[k] = c
	}
	for name, h := range n.hosts {
		t.Sent[name] = h.sent
	}
	return t
}

// Asks returns how many asks one host has sent to another.
func (n *Network) Asks(from, to string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asks[pair{from, to}]
}

func (n *Network) host(name string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hostLocked(name)
}

func (n *Network) hostLocked(name string) *host {
	h, ok := n.hosts[name]
	if !ok {
		h = &host{name: name}
		n.hosts[name] = h
	}
	return h
}

func (n *Network) changeLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// reaches reports whether messages get from one host to another, and returns a
// channel that is closed when that may have changed.
func (n *Network) reaches(from, to *host) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ok := !from.hung && !to.hung && from.group == to.group && !n.oneWay[pair{from.name, to.name}]
	return ok, n.changed
}

// pass waits until messages get from one host to another.
func (n *Network) pass(ctx context.Context, from, to *host) error {
	for {
		ok, changed := n.reaches(from, to)
		if ok {
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// delay returns what a message from one host to another takes, and the link
// between just these two, nil when there is none.
func (n *Network) delay(from, to *host) (time.Duration, *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.timing.Latency + from.latency
	if s := n.slow[pair{from.name, to.name}]; s != nil {
		return d + s.latency, &s.link
	}
	return d, nil
}

// String shows who is there, for a failing test.
func (n *Network) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprintf("network of %d hosts, %v asks, answers %v", len(n.hosts), n.kinds, n.answers)
}

// talk reports whether two hosts reach each other and both run a process, or
// have never run one.
func (n *Network) talk(a, b string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	from, to := n.hostLocked(a), n.hostLocked(b)
	for _, h := range []*host{from, to} {
		if h.hung || h.answer == nil && h.dead != nil {
			return false
		}
	}
	return from.group == to.group && !n.oneWay[pair{a, b}] && !n.oneWay[pair{b, a}]
}
