package netlab

import "fmt"

// nowhere is a hardware address that no port has: the switch drops what is sent
// to it.
const nowhere = "02:77:ff:ff:ff:ff"

// Partition lets the switch lose all that hosts of one group send to those of
// the other, in both directions and without a word, until [Lab.Heal]. The
// packets still take their time on the sender's link.
func (l *Lab) Partition(a, b []*Host) {
	l.tb.Helper()
	l.Cut(a, b)
	l.Cut(b, a)
}

// Cut is Partition in one direction only.
func (l *Lab) Cut(from, to []*Host) {
	l.tb.Helper()
	for _, f := range from {
		batch := ""
		for _, t := range to {
			if f != t {
				batch += f.neighbour(t, nowhere)
				l.cut = append(l.cut, [2]*Host{f, t})
			}
		}
		l.must(l.run(f.network, l.ip, batch))
	}
}

// Heal ends all partitions.
func (l *Lab) Heal() {
	l.tb.Helper()
	batches := map[*Host]string{}
	for _, c := range l.cut {
		batches[c[0]] += c[0].neighbour(c[1], c[1].mac(2))
	}
	l.cut = nil
	for h, batch := range batches {
		l.must(l.run(h.network, l.ip, batch))
	}
}

// meet tells h where other is, so that nobody ever has to ask.
func (h *Host) meet(other *Host) error {
	return h.lab.run(h.network, h.lab.ip, h.neighbour(other, other.mac(2)))
}

// neighbour returns the ip command after which h sends other's packets to mac.
func (h *Host) neighbour(other *Host, mac string) string {
	return fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent\n", other.IP(), mac, device)
}
