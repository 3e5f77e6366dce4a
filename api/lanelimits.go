package api

import (
	"net"
	"sync"
)

// places bounds the connections to a port, all together and those from one
// address, which cannot be forged once a connection stands. Without the second
// bound one host that opens connections could keep all others out.
type places struct {
	limit      int
	perAddress int

	mu    sync.Mutex
	taken int
	by    map[string]int
}

func newPlaces(limit, perAddress int) *places {
	return &places{limit: limit, perAddress: perAddress, by: map[string]int{}}
}

// enter takes a place for a connection and returns what gives it back; nil when
// there are no bounds. It reports false when there is no place left.
func (p *places) enter(conn net.Conn) (leave func(), ok bool) {
	if p == nil {
		return nil, true
	}
	address := hostOf(conn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.limit || p.by[address] >= p.perAddress {
		return nil, false
	}
	p.taken++
	p.by[address]++
	return func() { p.leave(address) }, true
}

func (p *places) leave(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[address]--; p.by[address] == 0 {
		delete(p.by, address)
	}
}

// hostOf returns the address of a connection's peer without its port.
func hostOf(conn net.Conn) string {
	address := conn.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
