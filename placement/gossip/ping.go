package gossip

import "net"

// pings is how often a node is asked whether it lives: a full link loses one packet
// in some hundred, and where one is lost the next may be.
const pings = 2

// Alive asks a member by UDP whether it lives, once for all who want to know at the
// same time, and waits for the answer as long as for two probes. False also where the
// zone has no such member.
func (m *Membership) Alive(node string) bool {
	lives, _, _ := m.asking.Do(node, func() (any, error) { return m.answers(node), nil })
	return lives == true
}

func (m *Membership) answers(node string) bool {
	addr, ok := m.table.gossipOf(node)
	for range pings {
		if !ok || m.ctx.Err() != nil {
			return false
		}
		if _, err := m.list.Ping(node, net.UDPAddrFromAddrPort(addr)); err == nil {
			return true
		}
	}
	return false
}
