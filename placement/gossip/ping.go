package gossip

import "net"

// pings is how often a node is asked whether it lives: a full link loses one packet
// in some hundred, and where one is lost the next may be.
const pings = 2

// Alive asks a member by UDP whether it lives, once for all who want to know at the
// same time, and waits for the answer as long as for two probes. False also where the
// zone has no such member.
func (m *Membership) Alive(node string) bool {
	lives, _, _ := m.asking.Do(node, func() (any, error) {
		addr, ok := m.table.gossipOf(node)
		if !ok {
			return false, nil
		}
		for range pings {
			_, err := m.list.Ping(node, net.UDPAddrFromAddrPort(addr))
			if err == nil || m.ctx.Err() != nil {
				return err == nil, nil
			}
		}
		return false, nil
	})
	return lives == true
}
