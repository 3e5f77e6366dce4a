package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A notice says that a node found another one dead: a format byte, then fields as
// in metadata. Who hears a notice it did not know passes it on.
const (
	noticeFormat = 1
	maxNotice    = 600
	maxReason    = 200
	tagName      = 1
	tagFinder    = 2
	tagReason    = 3
)

type notice struct{ name, finder, reason string }

func (n notice) encode() []byte {
	b := append(make([]byte, 0, 128), noticeFormat)
	b = appendText(b, tagName, n.name)
	b = appendText(b, tagFinder, n.finder)
	return appendText(b, tagReason, n.reason)
}

func decodeNotice(b []byte) (notice, error) {
	var n notice
	if len(b) == 0 || len(b) > maxNotice || b[0] != noticeFormat {
		return n, errors.New("not a notice this version knows")
	}
	for b = b[1:]; len(b) > 0; {
		f, rest, err := nextField(b)
		if err != nil {
			return n, err
		}
		switch f.tag {
		case tagName:
			n.name = string(f.value)
		case tagFinder:
			n.finder = string(f.value)
		case tagReason:
			n.reason = short(string(f.value))
		}
		b = rest
	}
	return n, errors.Join(checkName("dead node", n.name), checkName("finder", n.finder))
}

func short(reason string) string {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	return strings.ToValidUTF8(reason, "?")
}

const (
	mourning   = 5 * time.Second // notices about one node are one notice; far longer than one takes to reach everybody
	maxMourned = 1024
	noticeRate = 20 // notices a second a node takes, after as many at once
)

// A gate lets notices pass that are new and not too many, so that neither an echo
// nor a node gone mad can fill the network.
type gate struct {
	mu     sync.Mutex
	names  map[string]time.Time // when a notice about a node last passed
	tokens float64
	last   time.Time
}

func (g *gate) pass(name string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, ok := g.names[name]; ok && now.Sub(at) < mourning {
		return false
	}
	if g.last.IsZero() {
		g.tokens = noticeRate
	} else {
		g.tokens = min(noticeRate, g.tokens+now.Sub(g.last).Seconds()*noticeRate)
	}
	g.last = now
	if g.tokens < 1 {
		return false
	}
	g.tokens--
	if g.names == nil {
		g.names = map[string]time.Time{}
	}
	if len(g.names) >= maxMourned {
		for n, at := range g.names {
			if now.Sub(at) >= mourning {
				delete(g.names, n)
			}
		}
	}
	g.names[name] = now
	return true
}

// directly is how many members a finder tells itself; gossip tells the others.
const directly = 32

// NoteDeath tells the zone that this node found another one dead, for a reason of
// at most 200 bytes. Others call their OnDeath and suspect it; whether it stays a
// member is decided by probes. Notices about one node are one notice for 5 s, more
// than about 20 a second are dropped, and so are those about strangers.
// It returns at once.
func (m *Membership) NoteDeath(name, reason string) {
	if name == m.opt.Node || !m.table.has(name) || !m.gate.pass(name, time.Now()) {
		m.counts.noticesKept.Add(1)
		return
	}
	m.counts.noticesSent.Add(1)
	n := notice{name: name, finder: m.opt.Node, reason: short(reason)}
	m.table.doubt(name, "found dead by this node: "+n.reason)
	b := n.encode()
	m.news.QueueBroadcast(announcement{name: name, text: b})
	m.later(func() { m.tellDirectly(name, b) })
}

// tellDirectly sends a notice to some members without waiting for the next round
// of gossip.
func (m *Membership) tellDirectly(dead string, b []byte) {
	alive, _ := m.table.others()
	sent := 0
	for addr, name := range alive { // in random order
		if name == dead || sent == directly {
			continue
		}
		sent++
		to := &memberlist.Node{Name: name, Addr: addr.Addr().AsSlice(), Port: addr.Port(), PMax: memberlist.ProtocolVersionMax}
		_ = m.list.SendBestEffort(to, b) // gossip repeats it
	}
}

// hear takes a message of another node.
func (m *Membership) hear(b []byte) {
	n, err := decodeNotice(b)
	if err != nil {
		m.counts.noticesKept.Add(1)
		m.say(slog.LevelDebug, "notice", "gossip: message not understood", "error", err)
		return
	}
	if n.name == m.opt.Node || n.finder == m.opt.Node || !m.table.has(n.name) || !m.gate.pass(n.name, time.Now()) {
		m.counts.noticesKept.Add(1)
		return
	}
	m.counts.noticesHeard.Add(1)
	m.table.doubt(n.name, fmt.Sprintf("found dead by %s: %s", n.finder, n.reason))
	m.news.QueueBroadcast(announcement{name: n.name, text: append([]byte(nil), b...)})
	m.say(slog.LevelInfo, "notice "+n.name, "gossip: a node was found dead", "member", n.name, "finder", n.finder, "reason", n.reason)
	m.tellDeath(n.name, fmt.Sprintf("found dead by %s: %s", n.finder, n.reason))
}

func (m *Membership) tellDeath(name, reason string) {
	if m.opt.OnDeath != nil {
		m.later(func() { m.opt.OnDeath(name, reason) })
	}
}

// An announcement is a notice on its way: a newer one about the same node replaces it.
type announcement struct {
	name string
	text []byte
}

var _ memberlist.NamedBroadcast = announcement{}

// Name is the dead node's.
func (a announcement) Name() string { return a.name }

// Invalidates is decided by Name.
func (a announcement) Invalidates(memberlist.Broadcast) bool { return false }

// Message is the encoded notice.
func (a announcement) Message() []byte { return a.text }

// Finished does nothing.
func (a announcement) Finished() {}
