package placement

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/zonecache/cached/block"
)

// slotBits fixes how finely the blocks are spread: a block belongs to one of
// 2^20 slots, a slot to one member. At 1000 members that is 1048 slots each.
const slotBits = 20

const (
	slotCount = 1 << slotBits
	slotMask  = slotCount - 1
)

// MaxOwners is how many members of a ring can own blocks; those beyond, in the
// order of names, own none.
const MaxOwners = 1<<16 - 1

// A Ring says which member of a zone owns a block. It is a pure function of the
// members' names and weights: every node that sees the same members computes the
// same ring, whatever happened before, on any architecture.
//
// Each member draws the slots in an order of its own, a permutation that its name
// decides, the k-th of them at the time -log2(1-k/2^20)/weight. A slot belongs to
// who draws it first. So shares are proportional to weights, with less scatter
// than independent draws have; a member that joins takes slots and moves none
// between others; when one leaves, each of its slots falls to who drew it second.
// The load is bounded: a member that is first at more than [LoadBound] times its
// fair share gives the latest draws to those who drew them next.
//
// A Ring is immutable and occupies 2 MiB.
type Ring struct {
	members []Member // by name
	epoch   uint64
	draws   []draw   // of the members that own blocks
	clock   clock    // when a draw takes place
	slots   []uint16 // index into draws; nil when there are fewer than two
	counts  []int    // slots by owner
}

// NewRing makes the ring of members; their order does not matter. Where two have
// one name, the one with the smaller address counts (then the smaller zone,
// weight, rate, version), so that all nodes keep the same one. A member of weight
// 0 owns nothing.
func NewRing(members []Member) *Ring {
	r := sorted(members)
	r.epoch = r.digest()
	r.assign()
	return r
}

// sorted returns a ring with its members in order and nothing assigned.
func sorted(members []Member) *Ring {
	r := &Ring{members: slices.Clone(members)}
	slices.SortFunc(r.members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Zone, b.Zone),
			cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Rate, b.Rate), cmp.Compare(a.Version, b.Version))
	})
	r.members = slices.CompactFunc(r.members, func(a, b Member) bool { return a.Name == b.Name })

	divisor := uint32(0) // weights 1, 1 and 5, 5 are the same ring
	for _, m := range r.members {
		divisor = gcd(divisor, m.Weight)
	}
	for i, m := range r.members {
		if m.Weight > 0 && len(r.draws) < MaxOwners {
			r.draws = append(r.draws, newDraw(m.Name, uint64(m.Weight/divisor), i))
		}
	}
	return r
}

// With returns the ring of other members. Where they own the same blocks, because
// only addresses, rates or versions differ, it costs next to nothing.
func (r *Ring) With(members []Member) *Ring {
	next := sorted(members)
	if next.epoch = next.digest(); next.epoch == r.epoch && len(next.draws) == len(r.draws) {
		next.clock, next.slots, next.counts = r.clock, r.slots, r.counts
		return next
	}
	next.assign()
	return next
}

// Owner returns the member that owns the block; false when nobody does.
func (r *Ring) Owner(id block.ID) (Member, bool) {
	if len(r.draws) == 0 {
		return Member{}, false
	}
	return r.members[r.draws[r.ownerOf(slotOf(id))].member], true
}

// AppendHolders appends up to n members to dst: the owner of the block, then who
// owns it once the ones before are gone, in that order. Up to eight are appended
// without allocating if dst has room. It looks at every member, some ns each;
// Owner does not.
func (r *Ring) AppendHolders(dst []Member, id block.ID, n int) []Member {
	n = min(n, len(r.draws))
	if n <= 0 {
		return dst
	}
	slot := slotOf(id)
	owner := r.ownerOf(slot)
	dst = append(dst, r.members[r.draws[owner].member])
	if n == 1 {
		return dst
	}
	var few [8]turn
	heirs := few[:0]
	if n-1 > len(few) {
		heirs = make([]turn, 0, n-1)
	}
	for i := range r.draws {
		if i == owner {
			continue
		}
		t := r.turn(i, slot)
		at := len(heirs)
		for at > 0 && r.before(t, heirs[at-1]) {
			at--
		}
		switch {
		case len(heirs) < n-1:
			heirs = slices.Insert(heirs, at, t) // within its capacity
		case at < len(heirs):
			copy(heirs[at+1:], heirs[at:])
			heirs[at] = t
		}
	}
	for _, t := range heirs {
		dst = append(dst, r.members[r.draws[t.draw].member])
	}
	return dst
}

// Holders is [Ring.AppendHolders] to a new slice.
func (r *Ring) Holders(id block.ID, n int) []Member {
	return r.AppendHolders(make([]Member, 0, max(0, min(n, len(r.draws)))), id, n)
}

// Share returns which part of all blocks the member owns, from 0 to 1.
func (r *Ring) Share(name string) float64 {
	for i, d := range r.draws {
		if r.members[d.member].Name == name {
			return float64(r.counts[i]) / slotCount
		}
	}
	return 0
}

// Members returns the members in the order of their names. The caller must not
// change them.
func (r *Ring) Members() []Member { return r.members }

// Member returns the member of that name.
func (r *Ring) Member(name string) (Member, bool) {
	i, ok := sort.Find(len(r.members), func(i int) int { return cmp.Compare(name, r.members[i].Name) })
	if !ok {
		return Member{}, false
	}
	return r.members[i], true
}

// Len returns the number of members, those that own nothing included.
func (r *Ring) Len() int { return len(r.members) }

// Epoch returns a digest of what decides the assignment: the names and relative
// weights of the members that own blocks. Addresses, rates and members of weight
// 0 do not matter, nor does the order of events: two nodes whose rings have the
// same epoch agree on every block and all its holders.
func (r *Ring) Epoch() uint64 { return r.epoch }

func (r *Ring) digest() uint64 {
	h := block.NewHash()
	p := []byte(drawSeed)
	for _, d := range r.draws {
		p = binary.AppendUvarint(p, d.weight)
		p = binary.AppendUvarint(p, uint64(len(r.members[d.member].Name)))
		p = append(p, r.members[d.member].Name...)
	}
	h.Write(p) // a hash never fails
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func (r *Ring) ownerOf(slot uint32) int {
	if r.slots == nil {
		return 0
	}
	return int(r.slots[slot])
}

// slotOf takes the last bits of the ID: tables and folders inside a node use the
// first ones, and would see only those of the node's own slots.
func slotOf(id block.ID) uint32 {
	return binary.BigEndian.Uint32(id[len(id)-4:]) & slotMask
}

func gcd(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
