package placement

import (
	"slices"
	"time"

	"github.com/zonecache/cached/block"
)

// given remembers to whom a block was given last, least recently used first.
type given []recipient

type recipient struct {
	name  string
	whole bool // the send to it has finished
}

// add remembers name as the last one, and at most limit of them.
func (g *given) add(name string, limit int) {
	g.drop(name)
	if len(*g) >= limit {
		*g = slices.Delete(*g, 0, len(*g)-limit+1)
	}
	*g = append(*g, recipient{name: name})
}

func (g *given) drop(name string) {
	if i := g.index(name); i >= 0 {
		*g = slices.Delete(*g, i, i+1)
	}
}

func (g *given) markWhole(name string) {
	if i := g.index(name); i >= 0 {
		(*g)[i].whole = true
	}
}

// pick returns the least recently used one that may be, and makes it the most
// recent.
func (g *given) pick(may func(recipient) bool) (string, bool) {
	for i, r := range *g {
		if may(r) {
			*g = append(slices.Delete(*g, i, i+1), r)
			return r.name, true
		}
	}
	return "", false
}

func (g *given) names(which func(recipient) bool) []string {
	var names []string
	for _, r := range *g {
		if which(r) {
			names = append(names, r.name)
		}
	}
	return names
}

func (g *given) index(name string) int {
	if name == "" {
		return -1
	}
	return slices.IndexFunc(*g, func(r recipient) bool { return r.name == name })
}

// wait puts the reader in line, once.
func (q *queue) wait(reader string, orphan bool) {
	for i := range q.waiting {
		if q.waiting[i].reader == reader {
			q.waiting[i].orphan = q.waiting[i].orphan || orphan
			return
		}
	}
	q.waiting = append(q.waiting, waiter{reader: reader, orphan: orphan})
}

func (q *queue) leave(reader string) {
	q.waiting = slices.DeleteFunc(q.waiting, func(w waiter) bool { return w.reader == reader })
}

// handed returns whom the waiting reader was handed to, once.
func (q *queue) handed(reader string) (to string) {
	for i := range q.waiting {
		if w := &q.waiting[i]; w.reader == reader {
			to, w.to = w.to, ""
		}
	}
	return to
}

func (q *queue) waits(reader string) bool {
	return slices.ContainsFunc(q.waiting, func(w waiter) bool { return w.reader == reader })
}

// waitersFor returns how many wait to whom the asker can be sent: the dead, the
// slow and orphans take nobody's place.
func (q *queue) waitersFor(r *Request) int {
	n := 0
	for _, w := range q.waiting {
		if !w.orphan && r.mayGo(w.reader) {
			n++
		}
	}
	return n
}

// next hands the first n orphans in line that nobody was given to yet to the
// node to, and returns them. With to empty they are only to try again.
func (q *queue) next(n int, to string) []string {
	var again []string
	for i := range q.waiting {
		w := &q.waiting[i]
		if len(again) == n {
			break
		}
		if w.orphan && w.to == "" && w.reader != to {
			w.to = to
			again = append(again, w.reader)
		}
	}
	return again
}

// open returns the state of the block, making room for it first: what nobody
// has asked for lately is dropped, unless somebody still waits or reads.
func (d *Desk) open(id block.ID, now time.Time) *queue {
	if q, ok := d.blocks[id]; ok {
		if now.Sub(q.used) >= d.limits.Idle {
			q.given = nil // as if it had been swept: who had it then may have lost it
		}
		d.touch(q, now)
		return q
	}
	d.sweep(now)
	q := &queue{id: id, used: now}
	q.place = d.recentFirst.PushFront(q)
	d.blocks[id] = q
	return q
}

func (d *Desk) touch(q *queue, now time.Time) {
	q.used = now
	d.recentFirst.MoveToFront(q.place)
}

// sweepSteps bounds the work of one ask. Two blocks are looked at for each that
// is added, so the state shrinks to what is in use.
const sweepSteps = 2

func (d *Desk) sweep(now time.Time) {
	for range sweepSteps {
		last := d.recentFirst.Back()
		if last == nil {
			return
		}
		q := last.Value.(*queue)
		if len(d.blocks) < d.limits.Blocks && now.Sub(q.used) < d.limits.Idle {
			return
		}
		if q.sends > 0 || len(q.waiting) > 0 {
			d.recentFirst.MoveToFront(last) // q.used stays: it goes once it is free
			continue
		}
		d.recentFirst.Remove(last)
		delete(d.blocks, q.id)
	}
}

// slowBelow is the share of the typical rate below which a node is slow.
const slowBelow = 0.75

// Slow reports whether a node whose uplink carries rate is slow where typical is
// typical, both in Mbit/s. A 0 means not known: not slow. Nobody should be
// redirected to a slow node: it passes on less than it takes.
func Slow(rate, typical uint32) bool {
	return rate > 0 && float64(rate) < slowBelow*float64(typical)
}

// Part returns how much of what others do a node should take on whose uplink carries
// own where typical is typical: all of it, unless it is [Slow].
func Part(own, typical uint32) float64 {
	if Slow(own, typical) {
		return float64(own) / float64(typical)
	}
	return 1
}

// SetRate scales what the desk takes on to the rate this node has measured of
// its uplink, in relation to what is typical in the zone; see [Slow].
func (d *Desk) SetRate(own, typical uint32) {
	d.perBlock, d.total = d.limits.PerBlock, d.limits.Total
	if Slow(own, typical) {
		d.perBlock = 1
		d.total = max(1, int(float64(d.limits.Total)*Part(own, typical)))
	}
}
