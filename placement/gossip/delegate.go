package gossip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// A delegate is what memberlist tells us and asks us. Most of its methods are
// called with memberlist's lock held: they do memory work and never call back.
type delegate struct{ m *Membership }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.AliveDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
	_ memberlist.PingDelegate     = delegate{}
)

func addrOf(n *memberlist.Node) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(n.Addr)
	return netip.AddrPortFrom(ip.Unmap(), n.Port)
}

// NotifyAlive refuses nodes of other zones and names that could not stand in a
// certificate. What cannot be read at all may be of a newer version: it gossips,
// and stays out of the ring.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if err := checkName("node name", n.Name); err != nil {
		d.m.counts.unreadable.Add(1)
		d.m.say(slog.LevelWarn, "name", "gossip: node refused", "address", addrOf(n), "error", err)
		return err
	}
	said, err := decodeMeta(n.Meta)
	if err == nil && said.zone != d.m.opt.Zone {
		d.m.counts.foreignZone.Add(1)
		d.m.say(slog.LevelWarn, "zone "+n.Name, "gossip: node of another zone refused",
			"member", n.Name, "address", addrOf(n), "its zone", said.zone)
		return fmt.Errorf("zone %q", said.zone)
	}
	return nil
}

// NotifyJoin is told of a node that came or came back.
func (d delegate) NotifyJoin(n *memberlist.Node) {
	if n.Name != d.m.opt.Node {
		d.m.counts.joins.Add(1)
	}
	d.NotifyUpdate(n)
}

// NotifyUpdate is told of a node that says something new of itself.
func (d delegate) NotifyUpdate(n *memberlist.Node) {
	said, err := decodeMeta(n.Meta)
	if err != nil {
		d.m.counts.unreadable.Add(1)
		d.m.say(slog.LevelWarn, "meta "+n.Name, "gossip: node left out of the ring: what it says of itself cannot be read",
			"member", n.Name, "address", addrOf(n), "error", err)
	}
	d.m.table.put(n.Name, addrOf(n), said, err)
	d.m.changed()
}

// NotifyLeave is told of a node that is dead or has left.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if n.Name == d.m.opt.Node || d.m.ctx.Err() != nil {
		return
	}
	died := d.m.table.remove(n.Name)
	if d.m.opt.Residency != nil {
		d.m.opt.Residency.Keep(d.m.table.has)
	}
	if died {
		d.m.counts.deaths.Add(1)
		d.m.tellDeath(n.Name, "the zone got no answer to its probes")
	} else {
		d.m.counts.leaves.Add(1)
	}
	d.m.changed()
}

// NotifyConflict is told of a node that claims the name of another one.
func (d delegate) NotifyConflict(first, second *memberlist.Node) {
	d.m.counts.conflicts.Add(1)
	if first.Name == d.m.opt.Node {
		d.m.rival()
		d.m.say(slog.LevelError, "conflict "+first.Name,
			"gossip: another node of this node's name is in the zone; it stays, this one waits (a restart under a new address looks like this for some seconds)",
			"address", addrOf(first), "other", addrOf(second))
		return
	}
	d.m.say(slog.LevelError, "conflict "+first.Name,
		"gossip: two nodes claim one name; the first stays (a restart under a new address looks like this for some seconds)",
		"member", first.Name, "address", addrOf(first), "second", addrOf(second))
}

// NotifyPingComplete is told of answered probes.
func (d delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	d.m.table.answered(n.Name, rtt)
}

// AckPayload adds nothing to answers.
func (d delegate) AckPayload() []byte { return nil }

// unanswered is asked, once for each probe that got no answer in time, whether to
// leave out the second try over TCP. It never does, but it is the only place where
// memberlist tells that a node is doubtful.
func (d delegate) unanswered(name string) bool {
	d.m.table.doubt(name, "no answer to a probe")
	return false
}

// NodeMeta is what this node says of itself.
func (d delegate) NodeMeta(int) []byte { return d.m.said.encode() }

// NotifyMsg hears a notice, or what a node holds.
func (d delegate) NotifyMsg(b []byte) {
	if len(b) > 0 && b[0] == sketchFormat {
		d.m.hearSketch(b)
		return
	}
	d.m.hear(b)
}

// GetBroadcasts passes notices on, and then what nodes hold.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	news := d.m.news.GetBroadcasts(overhead, limit)
	for _, b := range news {
		limit -= overhead + len(b)
	}
	return append(news, d.m.sketchesFor(overhead, limit)...)
}

// LocalState adds what nodes hold to a state exchange.
func (d delegate) LocalState(bool) []byte { return d.m.holdings() }

// MergeRemoteState takes what another node adds to it.
func (d delegate) MergeRemoteState(b []byte, _ bool) { d.m.takeHoldings(b) }
