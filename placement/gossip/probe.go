package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// probeWait is how long a probe waits for each answer.
const probeWait = time.Second

// What packets of a zone begin with says whether they are encrypted.
const (
	plainly = "open"
	sealed  = "sealed"
)

func zoneLabel(zone, how string) string { return "cached:" + zone + ":" + how }

// Probe pings by UDP whoever has an address of gossip, from the host that nodes of this
// one bind to, with the zone's keys (keyFile; "": it has none), and returns how long the
// answer took. It joins nothing: the zone does not hear of who asks. Nobody answers to
// other keys or another zone, as nobody does where a firewall drops the packets.
func Probe(ctx context.Context, zone, bind, keyFile string, to netip.AddrPort) (took time.Duration, err error) {
	from, err := sourceOf(ctx, bind, to)
	if err != nil {
		return 0, fmt.Errorf("gossip: %w", err)
	}
	conf := memberlist.DefaultLANConfig()
	conf.Name = "probe"
	conf.BindAddr, conf.BindPort = from.String(), 0
	conf.Label = zoneLabel(zone, plainly)
	if keyFile != "" {
		conf.Label = zoneLabel(zone, sealed)
		keys, err := openKeys(keyFile)
		if err != nil {
			return 0, fmt.Errorf("gossip: %w", err)
		}
		conf.Keyring = keys.ring
	}
	conf.ProbeInterval, conf.ProbeTimeout = time.Hour, probeWait // it probes nobody by itself
	conf.GossipInterval, conf.PushPullInterval = 0, 0
	conf.RetransmitMult = 0 // what there is to tell is told once
	conf.EnableCompression = false
	conf.LogOutput = io.Discard
	b := newBrood()
	var list *memberlist.Memberlist
	b.start(func() { list, err = memberlist.Create(conf) })
	if err != nil {
		b.wait()
		return 0, fmt.Errorf("gossip: probe from %v: %w", from, err)
	}
	defer func() {
		err = errors.Join(err, list.Shutdown())
		b.wait()
	}()
	// Its first packet tells that this node is there. Only itself is to hear of that.
	self := list.LocalNode()
	if _, err := list.Ping("", &net.UDPAddr{IP: self.Addr, Port: int(self.Port)}); err != nil {
		return 0, fmt.Errorf("gossip: packets from %v to itself are dropped", from)
	}
	for range pings {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if took, err = list.Ping("", net.UDPAddrFromAddrPort(to)); err == nil {
			return took, nil
		}
	}
	return 0, fmt.Errorf("gossip: %v does not answer by UDP within %v", to, pings*probeWait)
}

// sourceOf is the address of this host that packets to another one come from.
func sourceOf(ctx context.Context, bind string, to netip.AddrPort) (netip.Addr, error) {
	bound, err := bindOf(bind)
	if err != nil || !bound.Addr().IsUnspecified() {
		return bound.Addr(), err
	}
	c, err := new(net.Dialer).DialContext(ctx, "udp", to.String()) // which sends nothing
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	return local.Addr().Unmap(), err
}
