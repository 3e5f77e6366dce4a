package peer

import (
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers/peer/hot"
)

// A Policy says which blocks that other nodes sent are worth this node's L2.
type Policy uint8

// The policies (docs/adr/0010-l2-admission.md).
const (
	AdmitHot    Policy = iota // those whose owner calls them hot, replicas included
	AdmitSecond               // those read a second time within ten minutes
	AdmitAlways               // all of them
)

var policyNames = [...]string{AdmitHot: "hot", AdmitSecond: "second", AdmitAlways: "always"}

// String returns "hot", "second" or "always".
func (p Policy) String() string { return policyNames[p] }

// ParsePolicy reads what [Policy.String] wrote.
func ParsePolicy(s string) (Policy, error) {
	for p, name := range policyNames {
		if name == s {
			return Policy(p), nil
		}
	}
	return AdmitHot, fmt.Errorf("admission %.20q: want one of %v", s, policyNames)
}

// ghostFor is within which time a second read must come.
const ghostFor = 10 * time.Minute

// An Admission decides about blocks on their way from peers to L2.
type Admission struct {
	tier   *Tier
	policy Policy
	ghosts hot.Recent // blocks that were not admitted
}

// Admission returns the decision of a policy about what this tier reads.
func (t *Tier) Admission(p Policy) *Admission {
	return &Admission{tier: t, policy: p, ghosts: hot.Recent{Keep: ghostFor}}
}

// Admit reports whether the block is to be kept. What did not come from a peer
// came by the way of an owner's read, which has kept it.
func (a *Admission) Admit(b block.Block) bool {
	if b.From != block.Peer {
		return false
	}
	now := time.Now()
	switch a.policy {
	case AdmitHot:
		return a.tier.hot.Has(b.ID(), now)
	case AdmitSecond:
		return a.ghosts.Add(b.ID(), now) || a.tier.hot.Has(b.ID(), now)
	}
	return true
}
