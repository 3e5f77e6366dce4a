package day

import (
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/hitrate/product"
	"github.com/zonecache/cached/placement"
)

// ask is a program's read of a block on a host.
func (z *zone) ask(at uint16, b uint32) {
	size := int64(z.fleet.sizes[b])
	c := z.count
	c.Reads++
	c.Bytes += size
	z.note(b, size)
	if z.tap != nil && at == 0 {
		z.tap.Host.add(b, size)
	}
	switch z.read1(at, b, size) {
	case block.Memory:
		c.L1++
	case block.Disk:
		c.L2++
	case block.Peer:
		c.L3++
	default:
		c.L4++
	}
}

// note counts what is read for the first time.
func (z *zone) note(b uint32, size int64) {
	for int(b) >= len(z.seen) {
		z.seen = append(z.seen, make([]bool, 1<<16)...)
		z.today = append(z.today, make([]bool, 1<<16)...)
	}
	if !z.seen[b] {
		z.seen[b] = true
		z.count.New++
		z.count.NewBytes += size
	}
	if !z.today[b] {
		z.today[b] = true
		z.bytes += size
		z.count.Distinct++
	}
}

// read1 is the whole chain of a host.
func (z *zone) read1(at uint16, b uint32, size int64) block.Tier {
	owner, _ := z.holdersOf(b)
	if owner == at {
		return z.local(at, at, b, size)
	}
	h := z.hosts[at]
	if h.l1.Access(uint64(b), size) { // a miss takes the block in, from wherever it comes
		return block.Memory
	}
	if h.l2.Read(uint64(b)) {
		return block.Disk
	}
	from := z.fromOwner(owner, at, b, size)
	if z.o.Always || h.hot.Has(product.ID(uint64(b)), z.now) {
		h.l2.Write(uint64(b), size)
	}
	if from == block.Origin { // the owner read it there for this program
		return block.Origin
	}
	return block.Peer
}

// local is how a host reads a block it owns, for itself and for others: reader, who
// does not have it.
func (z *zone) local(at, reader uint16, b uint32, size int64) block.Tier {
	h := z.hosts[at]
	if h.l1.Access(uint64(b), size) {
		return block.Memory
	}
	if z.tap != nil && at == 0 {
		z.tap.Disk.add(b, size)
	}
	if h.l2.Read(uint64(b)) {
		return block.Disk
	}
	from := block.Origin
	if _, second := z.holdersOf(b); second != at && second != reader && z.held(second, b, size) {
		from = block.Peer
	} else {
		z.count.OriginReads++
		z.count.OriginBytes += size
	}
	h.l2.Write(uint64(b), size)
	return from
}

// held is what a host gives others of what it does not own.
func (z *zone) held(at uint16, b uint32, size int64) bool {
	h := z.hosts[at]
	if h.l1.Holds(uint64(b)) || h.l2.Holds(uint64(b)) {
		if !h.l1.Access(uint64(b), size) {
			h.l2.Read(uint64(b))
		}
		return true
	}
	return false
}

// fromOwner is a read of a block at its owner.
func (z *zone) fromOwner(owner, reader uint16, b uint32, size int64) block.Tier {
	o, r, id := z.hosts[owner], z.hosts[reader], product.ID(uint64(b))
	newly := o.heat.Asked(id, r.name, z.after, z.now)
	from := z.local(owner, reader, b, size)
	if o.heat.Served(id, r.name, z.after, z.now) {
		r.hot.Add(id, z.now)
	}
	if _, second := z.holdersOf(b); newly && second != reader {
		z.hosts[second].hot.Add(id, z.now)
		z.read1(second, b, size) // it pulls a replica
	}
	return from
}

// holdersOf returns the owner of a block and who owns it next.
func (z *zone) holdersOf(b uint32) (first, second uint16) {
	for int(b) >= len(z.holders) {
		z.holders = append(z.holders, make([]holders, 1<<16)...)
	}
	h := &z.holders[b]
	if h.epoch != z.epoch {
		var room [2]placement.Member
		list := z.ring.AppendHolders(room[:0], product.ID(uint64(b)), 2)
		*h = holders{z.epoch, z.index[list[0].Name], z.index[list[0].Name]}
		if len(list) > 1 {
			h.second = z.index[list[1].Name]
		}
	}
	return h.first, h.second
}
