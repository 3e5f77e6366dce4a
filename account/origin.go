package account

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// OriginRequest counts a request to the object store and the bytes of content
// it moved. Its form is that of an observer, which the origin is given without
// knowing the ledger.
func (l *Ledger) OriginRequest(op string, bytes int64) {
	book := l.ops[len(l.ops)-1]
	for _, o := range l.ops {
		if o.name == op {
			book = o
			break
		}
	}
	book.requests.Add(1)
	book.bytes.Add(bytes)
}

type originOp struct {
	name     string
	requests atomic.Int64
	bytes    atomic.Int64
}

// newOriginOps returns the books of the operations, and of all others last.
func newOriginOps(names []string) []*originOp {
	var ops []*originOp
	for _, name := range names {
		if name != "other" {
			ops = append(ops, &originOp{name: name})
		}
	}
	return append(ops, &originOp{name: "other"})
}

// A distinctSet counts different blocks by 64 bits of their ids: among 2 Mi
// blocks the chance that any two are taken for one is 1 in 8 million.
type distinctSet struct {
	limit     int64
	owns      func(block.ID) bool // nil: all
	size      atomic.Int64
	owned     atomic.Int64 // of size
	saturated atomic.Bool
	parts     [distinctParts]distinctPart
}

type distinctPart struct {
	mu   sync.Mutex
	seen map[uint64]struct{}
}

const distinctParts = 64

func newDistinctSet(limit int, owns func(block.ID) bool) *distinctSet {
	d := &distinctSet{limit: int64(limit), owns: owns}
	for i := range d.parts {
		d.parts[i].seen = map[uint64]struct{}{}
	}
	return d
}

// add notes a block, and reports whether it was known.
func (d *distinctSet) add(id block.ID) (known bool) {
	word := binary.LittleEndian.Uint64(id[:8])
	p := &d.parts[id[8]%distinctParts]
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known = p.seen[word]; known {
		return true
	}
	if d.size.Add(1) > d.limit {
		d.size.Add(-1)
		d.saturated.Store(true)
		return false
	}
	p.seen[word] = struct{}{}
	if d.owns == nil || d.owns(id) {
		d.owned.Add(1)
	}
	return false
}
