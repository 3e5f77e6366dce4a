package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A seed is where other nodes may be found.
type seed struct {
	text string // as the user wrote it
	host string // an ip, a name, or the name of SRV records
	port uint16 // of an ip or a name
	srv  bool
}

// parseSeed reads a seed; the port is taken where it says none.
func parseSeed(text string, port uint16) (seed, error) {
	if name, ok := strings.CutPrefix(text, "srv+"); ok || strings.HasPrefix(text, "_gossip._tcp.") {
		if name == "" || strings.ContainsAny(name, ":/ ") {
			return seed{}, fmt.Errorf("seed %q: want srv+NAME, without a port", text)
		}
		return seed{text: text, host: name, srv: true}, nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return seed{text: text, host: ip.String(), port: port}, nil
	}
	host := text
	if strings.Contains(text, ":") {
		h, p, err := net.SplitHostPort(text)
		if err != nil {
			return seed{}, fmt.Errorf("seed %q: %w", text, err)
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return seed{}, fmt.Errorf("seed %q: want a port from 1 to 65535", text)
		}
		host, port = h, uint16(n)
	}
	if host == "" || strings.ContainsAny(host, "/ @") {
		return seed{}, fmt.Errorf("seed %q: want ip:port, name:port or srv+NAME", text)
	}
	return seed{text: text, host: host, port: port}, nil
}

// SeedAddresses returns where a seed, as the user wrote it, leads to now; the port is
// taken where it says none.
func SeedAddresses(ctx context.Context, text string, port uint16) ([]netip.AddrPort, error) {
	s, err := parseSeed(text, port)
	if err != nil {
		return nil, err
	}
	return s.resolve(ctx, net.DefaultResolver)
}

// resolve asks for the addresses behind a seed, as they are now.
func (s seed) resolve(ctx context.Context, r *net.Resolver) ([]netip.AddrPort, error) {
	if !s.srv {
		return lookup(ctx, r, s.host, s.port)
	}
	_, records, err := r.LookupSRV(ctx, "", "", s.host)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	var firstErr error
	for _, record := range records {
		found, err := lookup(ctx, r, record.Target, record.Port)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		all = append(all, found...)
	}
	if len(all) > 0 {
		firstErr = nil // one target that is gone does not spoil the others
	}
	return all, firstErr
}

func lookup(ctx context.Context, r *net.Resolver, host string, port uint16) ([]netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	ips, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	found := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		found = append(found, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return found, nil
}
