// Package peer is L3: the other nodes of the zone. Each block has one owner
// among them (placement.Ring), which alone reads the origin for it; everybody
// else reads it from the owner, or from whom the owner sends them to.
//
// A read (Tier.ReadBlock) asks the owner. The answer is the bytes, or the name of
// a node that has them or is about to have them: the owner serves few copies and
// sends everybody else to the recipients of these (placement.Desk), so that a
// thousand nodes that start at once are served at the rate of their own links.
// The read follows such redirects, goes back to the owner when it was sent in
// vain, takes a broken transfer up where it stopped, and passes by who is dead:
// then the owner's successor stands in. What comes is verified before anybody
// gets it. A read that cannot be done within its budget fails with
// block.ErrUnavailable, and whoever joined the tiers reads the origin instead.
//
// An ask (Tier.Answer) is answered from what this node has, is receiving, or,
// where it owns the block, reads from the origin. A block that still arrives is
// passed on behind the bytes that are here. An ask never causes an ask for the
// same block of another node, but for Heirs, and never of a node that waits for
// this one; so asks do not loop.
//
// With distribution by trees (trees) a read asks this node's parent in the tree of
// the image instead, who may ask its own: such an ask goes up one level each time,
// and from the root on, or where a parent fails, by the ring as above.
//
// # Configuration
//
//	zone:
//	  name: eu1              # nodes of the same zone read from each other
//	  peer-budget: 5s        # how long a read may take among peers
//	  sends: 8               # blocks a node sends at a time; 4 to 8 of them are on the wire, by the rate
//	  sends-per-block: 2
//	  l2-admit: hot          # what peers sent goes to L2: hot, second or always
//	  distribution: redirect # or tree: a Function Tree for each image
//
// # Ownership and concurrency
//
// A block on its way is a reception; the table of receptions holds one for each
// block, whoever waits for it. It has a goroutine of its own, because neither the
// reader who started it nor any peer that follows it owns it: it goes on while
// one of them is left, and ends when the last one goes. What has arrived stays in
// the table for a moment, until it can be found in L1. Close ends all receptions
// and waits for them; every Answer must be done before.
package peer
