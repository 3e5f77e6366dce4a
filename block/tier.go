package block

import "fmt"

// A Tier says which level of the cache served a block.
type Tier uint8

// The tiers, nearest first.
const (
	Unknown Tier = iota
	Memory       // L1: this host's memory
	Disk         // L2: this host's NVMe
	Peer         // L3: another host of the zone
	Origin       // L4: the object store
)

// Tiers lists the four tiers, nearest first.
var Tiers = [...]Tier{Memory, Disk, Peer, Origin}

var tierNames = [...]string{Unknown: "unknown", Memory: "l1", Disk: "l2", Peer: "l3", Origin: "l4"}

// String returns "l1", "l2", "l3" or "l4".
func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("tier(%d)", uint8(t))
}

// ParseTier reads what [Tier.String] wrote.
func ParseTier(s string) (Tier, error) {
	for _, t := range Tiers {
		if t.String() == s {
			return t, nil
		}
	}
	return Unknown, fmt.Errorf("tier %.20q: want l1, l2, l3 or l4", s)
}
