package placement

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
)

// equals returns n members of weight 1.
func equals(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{Name: fmt.Sprintf("node-%04d", i), Weight: 1}
	}
	return members
}

// anyID returns the ID whose every bit the seed decides.
func anyID(src *rand.PCG) (id block.ID) {
	for i := 0; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], src.Uint64())
	}
	return id
}

// inSlot returns an ID of the slot.
func inSlot(slot uint32) (id block.ID) {
	binary.BigEndian.PutUint32(id[len(id)-4:], slot)
	return id
}

func TestRingOfFew(t *testing.T) {
	empty := NewRing(nil)
	if m, ok := empty.Owner(block.Sum(nil)); ok || empty.Len() != 0 || len(empty.Holders(block.Sum(nil), 3)) != 0 {
		t.Fatalf("the empty ring has the owner %v", m)
	}
	idle := NewRing([]Member{{Name: "a"}, {Name: "b"}})
	if m, ok := idle.Owner(block.Sum(nil)); ok || idle.Share("a") != 0 || idle.Len() != 2 {
		t.Fatalf("members of weight 0 own blocks: %v", m)
	}
	one := NewRing([]Member{{Name: "a", Weight: 3}, {Name: "idle"}})
	if m, ok := one.Owner(block.Sum(nil)); !ok || m.Name != "a" || one.Share("a") != 1 || one.Share("idle") != 0 || one.Share("nobody") != 0 {
		t.Fatalf("a ring of one: owner %v, share %v", m, one.Share("a"))
	}
	if got := one.Holders(block.Sum(nil), 9); len(got) != 1 {
		t.Fatalf("%d holders of 1", len(got))
	}
	if got := one.Holders(block.Sum(nil), -1); len(got) != 0 {
		t.Fatalf("%d holders of -1", len(got))
	}
	if m, ok := one.Member("idle"); !ok || m.Name != "idle" {
		t.Fatalf("Member(idle) = %v, %v", m, ok)
	}
	if m, ok := one.Member("nobody"); ok {
		t.Fatalf("Member(nobody) = %v", m)
	}
}

func TestRingIgnoresOrderAndDuplicates(t *testing.T) {
	members := equals(20)
	want := NewRing(members)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	twin := Member{Name: members[0].Name, Address: "10.0.0.9:1", Weight: 9}
	got := NewRing(slices.Concat([]Member{twin}, members, []Member{twin}))
	if got.Len() != 20 || got.Epoch() != want.Epoch() || !slices.Equal(got.slots, want.slots) {
		t.Fatalf("%d members, epoch %x, want %x", got.Len(), got.Epoch(), want.Epoch())
	}
	if m, _ := got.Member(twin.Name); m.Address != "" {
		t.Fatalf("of two members with one name, the one at %s counts", m.Address)
	}
}

func TestRingEpoch(t *testing.T) {
	a, b := Member{Name: "a", Weight: 1}, Member{Name: "b", Weight: 2}
	base := NewRing([]Member{a, b}).Epoch()
	same := map[string][]Member{
		"other addresses and rates": {{Name: "a", Weight: 1, Address: "x:1", Rate: 5}, {Name: "b", Weight: 2, Version: "9"}},
		"the same relative weights": {{Name: "a", Weight: 10}, {Name: "b", Weight: 20}},
		"one more of weight 0":      {a, b, {Name: "c"}},
	}
	for name, members := range same {
		if NewRing(members).Epoch() != base {
			t.Errorf("%s: another epoch", name)
		}
	}
	other := map[string][]Member{
		"nobody": nil, "one less": {a}, "one more": {a, b, {Name: "c", Weight: 1}},
		"another weight": {a, {Name: "b", Weight: 3}}, "another name": {a, {Name: "B", Weight: 2}},
	}
	for name, members := range other {
		if NewRing(members).Epoch() == base {
			t.Errorf("%s: the same epoch", name)
		}
	}
}

// Turn and slot undo each other for every name, and every slot has its turn.
func TestDrawIsAPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDraw(rapid.String().Draw(t, "name"), 1, 0)
		k := rapid.Uint32Range(0, slotMask).Draw(t, "turn")
		if slot := d.slot(k); slot > slotMask || d.turn(slot) != k {
			t.Fatalf("turn %d draws slot %d, which turn %d draws", k, slot, d.turn(slot))
		}
	})
}

func TestClock(t *testing.T) {
	c := newClock()
	for k, last := uint32(0), uint64(0); k < slotCount; k++ {
		got := c.time(k)
		if k > 0 && got <= last {
			t.Fatalf("time(%d) = %d after %d", k, got, last)
		}
		want := -math.Log2(1-(float64(k)+0.5)/slotCount) * (1 << clockBits)
		if math.Abs(float64(got)-want) > 64 {
			t.Fatalf("time(%d) = %d, want %f", k, got, want)
		}
		last = got
	}
	for _, k := range []uint32{0, 1, 1000, slotMask} {
		if got := c.turnsBy(c.time(k), 0); got != k+1 {
			t.Fatalf("%d turns by the time of turn %d", got, k)
		}
	}
}

// A ring of members that own the same blocks shares what was computed.
func TestRingWith(t *testing.T) {
	members := []Member{{Name: "a", Weight: 1}, {Name: "b", Weight: 2, Rate: 100}, {Name: "c", Weight: 0}}
	r := NewRing(members)
	faster := slices.Clone(members)
	faster[1].Rate, faster[1].Address = 1000, "10.0.0.2:7072"
	next := r.With(faster)
	if m, _ := next.Member("b"); m.Rate != 1000 || next.Epoch() != r.Epoch() {
		t.Errorf("%+v, epoch %x and %x", m, next.Epoch(), r.Epoch())
	}
	grown := next.With(append(faster, Member{Name: "d", Weight: 1}))
	for i := range 1000 {
		id := block.Sum(fmt.Append(nil, i))
		was, _ := r.Owner(id)
		if is, _ := next.Owner(id); is.Name != was.Name || is.Name == "b" && is.Rate != 1000 {
			t.Fatalf("%s: %+v, then %+v", id.Short(), was, is)
		}
		if is, _ := grown.Owner(id); is.Name != was.Name && is.Name != "d" {
			t.Fatalf("%s moved from %s to %s", id.Short(), was.Name, is.Name)
		}
	}
}
