package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// What has arrived stays in the table for as long as L1 may take to show it, and
// while it is most asked for.
const (
	lingerFor   = 250 * time.Millisecond
	lingerBytes = 16 << 20
)

// A way says how a reception gets its block.
type way uint8

const (
	fromPeers way = iota // for this node's own programs
	fromLocal            // for peers who ask the owner
)

// A reception is a block on its way into this node. It has a goroutine that
// runs it and users: local readers and peers that follow it. The last user who
// leaves a running reception ends it.
type reception struct {
	id     block.ID
	way    way
	cancel context.CancelFunc
	done   chan struct{} // closed once ended

	// arrivals.mu guards what follows.
	arrival  *block.Arrival // replaced when it must begin anew
	source   string         // whom the bytes come from now
	rung     rung           // where trees are the way of distribution
	depth    uint8          // how many nodes may pass them on before they are here
	doubtful bool           // it has lost a source
	users    int
	holds    int // references to the reception: its users, its run or the table once it lingers
	ended    bool
	err      error
	other    block.Block // the block, when it came another way meanwhile
}

// arrivals is the table of receptions, at most one for each block, and one more
// while this node answers for a block that it began to receive from others.
type arrivals struct {
	mu       sync.Mutex
	open     map[block.ID]*reception
	aside    map[block.ID]*reception
	linger   []lingering // oldest first
	bytes    int         // of these
	sweeping *time.Timer
}

type lingering struct {
	*reception
	until time.Time
	size  int
}

// join makes the caller a user of the block's reception, or of the one that
// start makes; the caller must leave it. start is called with the table locked
// and may return nil.
func (a *arrivals) join(id block.ID, start func() *reception) *reception {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.joinLocked(a.open, id, start)
}

// stepAside exchanges the caller's use of r, which the block comes to from peers,
// for one of the reception that start makes: whoever has lost a source must not
// wait for r, whose source may wait for it in turn.
func (a *arrivals) stepAside(r *reception, start func() *reception) *reception {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.way == fromLocal || r.arrival.Ended() && r.arrival.Flowing() {
		return r
	}
	own := a.joinLocked(a.aside, r.id, start)
	if own == nil {
		return r
	}
	a.leaveLocked(r)
	return own
}

func (a *arrivals) joinLocked(table map[block.ID]*reception, id block.ID, start func() *reception) *reception {
	r, ok := table[id]
	if !ok {
		if start == nil {
			return nil
		}
		if r = start(); r == nil {
			return nil
		}
		r.holds = 1 // its run
		table[id] = r
	}
	r.users++
	r.holds++
	return r
}

// leave ends one use.
func (a *arrivals) leave(r *reception) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaveLocked(r)
}

func (a *arrivals) leaveLocked(r *reception) {
	r.users--
	if r.users == 0 && !r.ended {
		// Whoever comes now must not join a reception that is being cancelled.
		a.forgetLocked(r)
		r.cancel()
	}
	a.letGoLocked(r)
}

// ended is the last thing a run does. With err nil the reception's arrival has
// finished.
func (a *arrivals) ended(r *reception, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.ended, r.err = true, err
	r.other.Release()
	r.other = block.Block{}
	if err != nil {
		r.arrival.Fail(err)
	}
	close(r.done)
	if err != nil || a.open[r.id] != r && a.aside[r.id] != r {
		a.forgetLocked(r)
		a.letGoLocked(r)
		return
	}
	l := lingering{reception: r, until: time.Now().Add(lingerFor), size: r.arrival.Size()}
	a.linger = append(a.linger, l)
	a.bytes += l.size
	a.sweepLocked(time.Now())
}

// replace makes next the arrival of the reception. Whoever waits for a first
// byte of the old one finds the new one; whoever has some of the old bytes is
// failed. The caller's reference of next goes to the reception.
func (a *arrivals) replace(r *reception, next *block.Arrival) {
	a.mu.Lock()
	old := r.arrival
	r.arrival = next
	a.mu.Unlock()
	old.Fail(errReplaced)
	old.Leave()
}

var errReplaced = errors.New("peer: the block comes another way")

// adopt ends the reception of a block from peers with b, which this node has
// read by itself meanwhile.
func (a *arrivals) adopt(b block.Block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r, ok := a.open[b.ID()]; ok && r.way == fromPeers && !r.ended && r.other.IsZero() {
		r.other = b.Retain()
		r.cancel()
	}
}

// adopted returns what adopt gave the reception, with its reference.
func (a *arrivals) adopted(r *reception) block.Block {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := r.other
	r.other = block.Block{}
	return b
}

// from notes whom the bytes come from, over how many nodes.
func (a *arrivals) from(r *reception, source string, depth uint8) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.source, r.depth = source, depth
}

// waited returns how long sources have let this node wait for the origin, as far
// as that can be believed: where one was lost, or seats in a tree are wrong, nodes
// may wait for nothing.
func (a *arrivals) waited(r *reception) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.doubtful || r.rung > ringRung {
		return 0
	}
	return r.arrival.Waited()
}

// lets returns who the reception's source is, and whether it lets this node wait.
func (a *arrivals) lets(r *reception) (source string, wait bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, waits := r.arrival.Heard()
	return r.source, waits > 0 && !r.arrival.Flowing()
}

// doubt says that the reception has lost a source.
func (a *arrivals) doubt(r *reception) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.doubtful = true
}

// A view is what a user sees of a reception at one moment.
type view struct {
	holding placement.Holding
	arrival *block.Arrival  // with a reference, which the caller gives back
	changed <-chan struct{} // closed when the view is out of date; nil: it stays as it is
	source  string
	depth   uint8
	err     error // it has failed
	// doubtful says that it has lost a source and waits for its first byte.
	doubtful bool
}

func (a *arrivals) view(r *reception) view {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := view{arrival: r.arrival.Join(), source: r.source, depth: r.depth, err: r.err}
	v.changed = v.arrival.Changed() // before looking, so that nothing is missed
	switch {
	case v.err != nil || !v.arrival.Flowing():
		v.holding, v.doubtful = placement.Expected, r.doubtful
	case v.arrival.Ended():
		v.holding, v.depth, v.changed = placement.Whole, 0, nil
	default:
		v.holding = placement.Flowing
	}
	return v
}

// result returns the block, or why there is none, to a user once it has ended.
func (a *arrivals) result(r *reception) (block.Block, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.err != nil {
		return block.Block{}, r.err
	}
	b, ok := r.arrival.Block()
	if !ok {
		return block.Block{}, fmt.Errorf("peer: read %s: it ended without a block: %w", r.id.Short(), block.ErrUnavailable)
	}
	return b, nil
}

func (a *arrivals) forgetLocked(r *reception) {
	for _, table := range []map[block.ID]*reception{a.open, a.aside} {
		if table[r.id] == r {
			delete(table, r.id)
		}
	}
}

func (a *arrivals) letGoLocked(r *reception) {
	if r.holds--; r.holds == 0 {
		r.arrival.Leave()
	}
}

// sweepLocked drops what has lingered long enough, or takes too much room.
func (a *arrivals) sweepLocked(now time.Time) {
	for len(a.linger) > 0 && (a.bytes > lingerBytes || !now.Before(a.linger[0].until)) {
		l := a.linger[0]
		a.linger[0] = lingering{}
		a.linger = a.linger[1:]
		a.bytes -= l.size
		a.forgetLocked(l.reception)
		a.letGoLocked(l.reception)
	}
	if len(a.linger) > 0 && a.sweeping == nil {
		a.sweeping = time.AfterFunc(a.linger[0].until.Sub(now), func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.sweeping != nil {
				a.sweeping = nil
				a.sweepLocked(time.Now())
			}
		})
	}
}

// drop forgets everything that lingers. Nothing may be running.
func (a *arrivals) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sweeping != nil {
		a.sweeping.Stop()
		a.sweeping = nil
	}
	a.sweepLocked(time.Now().Add(2 * lingerFor))
}
