package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// A setting is a key and what it is set to.
type setting struct{ key, value string }

// listening are the addresses that the daemon listens on, each by TCP; on that of the
// gossip it does by UDP as well, where nothing else of it is.
func (c *Config) listening() []setting {
	var all []setting
	if c.Listen != "" || c.Socket.Path == "" {
		all = append(all, setting{"listen", c.Listen})
	}
	all = append(all, setting{"admin", c.Admin})
	if c.Zone.Name != "" {
		all = append(all, setting{"zone.peer-listen", c.Zone.PeerListen}, setting{"zone.gossip", c.Zone.Gossip})
	}
	return all
}

// validateAddresses reports what no daemon can listen on, or tell others of.
func (c *Config) validateAddresses(bad func(format string, args ...any)) {
	all := c.listening()
	for i, a := range all {
		if err := checkAddress(a.value, 0); err != nil {
			bad("%s: %v", a.key, err)
			continue
		}
		for _, b := range all[:i] {
			if sameAddress(a.value, b.value) {
				bad("%s: %s is taken by %s, %s: give it another port", a.key, a.value, b.key, b.value)
				break
			}
		}
	}
	if c.Zone.Name == "" {
		return
	}
	host, _, err := net.SplitHostPort(c.Zone.Gossip)
	if _, no := netip.ParseAddr(host); err == nil && host != "" && no != nil {
		bad("zone.gossip: %q, want IP:PORT", c.Zone.Gossip)
	}
	for _, a := range []setting{{"zone.peer-advertise", c.Zone.PeerAdvertise}, {"zone.gossip-advertise", c.Zone.GossipAdvertise}} {
		if a.value == "" {
			continue
		}
		if err := checkAddress(a.value, 1); err != nil {
			bad("%s: %v", a.key, err)
		}
	}
}

// checkAddress wants HOST:PORT, with a port of at least so much, or the name of a service.
func checkAddress(addr string, least int) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if n, ok := portNumber(port); !ok || n < least {
		return fmt.Errorf("%q: port %s, want a number from %d to 65535", addr, port, least)
	}
	return nil
}

func portNumber(port string) (int, bool) {
	if n, err := strconv.Atoi(port); err == nil {
		return n, n >= 0 && n <= 65535
	}
	n, err := net.LookupPort("tcp", port)
	return n, err == nil
}

// sameAddress reports whether who listens on the one keeps others from the other.
func sameAddress(one, other string) bool {
	a, portA, errA := net.SplitHostPort(one)
	b, portB, errB := net.SplitHostPort(other)
	n, okA := portNumber(portA)
	m, okB := portNumber(portB)
	if errA != nil || errB != nil || !okA || !okB || n != m || n == 0 { // 0: one that is free
		return false
	}
	x, y := hostAddress(a), hostAddress(b)
	return x == y && x.IsValid() || a == b || covers(x, y) || covers(y, x)
}

// hostAddress is what is listened on; of names only localhost is known.
func hostAddress(host string) netip.Addr {
	switch host {
	case "":
		return netip.IPv6Unspecified() // all of both kinds
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// covers reports whether all is every address of this host, another one among them.
func covers(all, another netip.Addr) bool {
	return all.IsValid() && all.IsUnspecified() && (all.Is6() || !another.Is6())
}
