package placement

import (
	"encoding/binary"
	"math/bits"

	"github.com/zonecache/cached/block"
)

// drawSeed is part of every permutation and of every epoch. Changing it, or
// anything below, moves all blocks of all zones.
const drawSeed = "cached ring 1\x00"

// A draw is the order in which a member draws slots: two rounds of multiply, add
// and fold, all of which can be undone, so that the turn of a slot is found as
// quickly as the slot of a turn.
type draw struct {
	mul, add [2]uint32
	inv      [2]uint32 // of mul, modulo 2^20
	weight   uint64
	member   int // index into the ring's members
	pace     int // index of the weight among the different ones, while the ring is made
}

func newDraw(name string, weight uint64, member int) draw {
	sum := block.Sum([]byte(drawSeed + name))
	d := draw{weight: weight, member: member}
	for i := range d.mul {
		d.mul[i] = binary.BigEndian.Uint32(sum[8*i:])&slotMask | 1
		d.add[i] = binary.BigEndian.Uint32(sum[8*i+4:]) & slotMask
		inverse := d.mul[i] // right to 3 bits; each step doubles that
		for range 4 {
			inverse *= 2 - d.mul[i]*inverse
		}
		d.inv[i] = inverse
	}
	return d
}

// slot returns the slot that is drawn in the k-th turn, from 0.
func (d *draw) slot(k uint32) uint32 {
	x := (k*d.mul[0] + d.add[0]) & slotMask
	x ^= x >> (slotBits / 2)
	x = (x*d.mul[1] + d.add[1]) & slotMask
	return x ^ x>>(slotBits/2)
}

// turn returns the turn in which the slot is drawn. A fold by half the bits
// undoes itself.
func (d *draw) turn(slot uint32) uint32 {
	x := slot ^ slot>>(slotBits/2)
	x = (x - d.add[1]) * d.inv[1] & slotMask
	x ^= x >> (slotBits / 2)
	return (x - d.add[0]) * d.inv[0] & slotMask
}

// A clock gives turns their times. It uses whole numbers only: floating point
// may be rounded differently on other architectures.
type clock struct {
	log [257]uint32 // 2^clockBits * log2(1 + i/256)
}

const clockBits = 24

func newClock() clock {
	var c clock
	for i := range 256 {
		x := uint64(256+i) << 23 // 1 + i/256 with 31 bits after the point
		for range clockBits {
			x = x * x >> 31
			c.log[i] = c.log[i]<<1 | uint32(x>>32)
			x >>= x >> 32
		}
	}
	c.log[256] = 1 << clockBits
	return c
}

// time returns 2^24 * -log2(1 - (k+1/2)/2^20), the time of turn k of a member of
// weight 1. It grows with k, strictly.
func (c *clock) time(k uint32) uint64 {
	y := 2*(slotCount-k) - 1
	top := bits.Len32(y) - 1
	fraction := y << (31 - top) &^ (1 << 31)
	i, rest := fraction>>23, uint64(fraction&(1<<23-1))
	log := uint64(top)<<clockBits + uint64(c.log[i]) + uint64(c.log[i+1]-c.log[i])*rest>>23
	return (slotBits+1)<<clockBits - log
}

// turnsBy returns how many turns have a time of at most t, given that from have.
func (c *clock) turnsBy(t uint64, from uint32) uint32 {
	low, high := from, uint32(slotCount)
	for low < high {
		mid := (low + high) / 2
		if c.time(mid) <= t {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// A turn is one member's draw of one slot.
type turn struct {
	draw int // index into Ring.draws
	k    uint32
}

func (r *Ring) turn(i int, slot uint32) turn { return turn{draw: i, k: r.draws[i].turn(slot)} }

// before orders turns by time, those of one time by the members' names.
func (r *Ring) before(a, b turn) bool {
	v, w := r.draws[a.draw].weight, r.draws[b.draw].weight
	if v == w {
		return a.k < b.k || a.k == b.k && a.draw < b.draw
	}
	s, t := r.clock.time(a.k)*w, r.clock.time(b.k)*v // below 2^29 * 2^32
	return s < t || s == t && a.draw < b.draw
}
