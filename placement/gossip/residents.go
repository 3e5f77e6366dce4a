package gossip

import (
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/zonecache/cached/placement/residency"
)

// What nodes hold spreads behind all other news, in what room is left in packets.
const (
	sketchTries  = 3        // each node that hears news sends it on so many times log10 of the zone's size,
	sketchCrowd  = 999      // or of this one, if the zone is smaller: one in 8000 does not hear of it then
	maxSketches  = 2048     // on their way through this node
	sketchInflow = 16 << 10 // bytes a second that a node hears at most, if all of the zone have news all the time
)

// tellHoldings spreads what this node holds whenever that has changed. What is lost
// is made up for when states are exchanged.
func (m *Membership) tellHoldings() {
	ticker := time.NewTicker(m.opt.Timing.Tell)
	defer ticker.Stop()
	var start, told uint64
	var notBefore time.Time
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		m.opt.Residency.Keep(m.table.has)
		if time.Now().Before(notBefore) {
			continue
		}
		r := m.opt.Residency.News(start, told, newsEntries)
		if len(r.Entries) == 0 {
			continue
		}
		start, told = r.Start, r.Latest()
		b := appendSketch([]byte{sketchFormat}, r)
		m.counts.sketchesSent.Add(1)
		m.queueSketch(b)
		n := m.table.size()
		notBefore = time.Now().Add(sketchPause(len(b), n))
	}
}

// sketchPause is how long a node of n keeps silent after it sent so many bytes, so
// that the news of all of them together are at most sketchInflow at each.
func sketchPause(size, n int) time.Duration {
	tries := sketchTries * int(math.Ceil(math.Log10(float64(max(n, sketchCrowd)+1))))
	return time.Duration(size*tries*n) * time.Second / sketchInflow
}

// queueSketch sends news on, unless too many are on their way.
func (m *Membership) queueSketch(b []byte) {
	if m.sketches.NumQueued() >= maxSketches {
		m.counts.sketchesDropped.Add(1)
		return
	}
	m.sketches.QueueBroadcast(sketch{text: b})
}

// hearSketch takes news of another node, and passes on what it did not know.
func (m *Membership) hearSketch(b []byte) {
	if m.opt.Residency == nil {
		return
	}
	all, err := decodeSketch(b, maxSketch)
	if err != nil {
		m.refuseSketch(err)
		return
	}
	m.counts.sketchesHeard.Add(1)
	if m.mergeHoldings(all) {
		m.queueSketch(append([]byte(nil), b...))
	}
}

// mergeHoldings takes records, and reports whether one says something new.
func (m *Membership) mergeHoldings(all []residency.Record) (news bool) {
	for _, r := range all {
		if !m.table.has(r.Node) {
			continue // it has left, or is not known yet: it will say so again
		}
		switch m.opt.Residency.Merge(r, time.Now()) {
		case residency.Taken:
			news = true
		case residency.Full:
			m.counts.sketchesDropped.Add(1)
		case residency.Known, residency.Mine: // of Mine the next round tells
		}
	}
	return news
}

func (m *Membership) refuseSketch(err error) {
	m.counts.sketchesRefused.Add(1)
	m.say(slog.LevelWarn, "sketch", "gossip: what a node says of its blocks cannot be read", "error", err)
}

// holdings is all that is known, as far as it fits into a state: this node's own,
// then the others' from anywhere.
func (m *Membership) holdings() []byte {
	if m.opt.Residency == nil {
		return nil
	}
	others := m.opt.Residency.Others(time.Now())
	_, entries := m.opt.Residency.Size()
	b := make([]byte, 1, min(maxState, (len(others)+1)*64+entries*entrySize))
	b[0] = sketchFormat
	b = appendSketch(b, m.opt.Residency.Mine())
	rand.Shuffle(len(others), func(i, k int) { others[i], others[k] = others[k], others[i] })
	for _, r := range others {
		if len(b)+64+maxName+len(r.Entries)*entrySize > maxState {
			break
		}
		b = appendSketch(b, r)
	}
	m.counts.sketchBytes.Add(uint64(len(b)))
	return b
}

// takeHoldings takes what another node knows.
func (m *Membership) takeHoldings(b []byte) {
	if m.opt.Residency == nil || len(b) == 0 {
		return
	}
	all, err := decodeSketch(b, 2*maxState) // a newer version may say more
	if err != nil {
		m.refuseSketch(err)
		return
	}
	m.mergeHoldings(all)
}

// sketchesFor returns news that fit into the rest of a packet.
func (m *Membership) sketchesFor(overhead, limit int) [][]byte {
	all := m.sketches.GetBroadcasts(overhead, limit)
	for _, b := range all {
		m.counts.sketchBytes.Add(uint64(len(b)))
	}
	return all
}

// A sketch on its way. Later ones do not replace it: each tells of other changes.
type sketch struct{ text []byte }

var _ memberlist.UniqueBroadcast = sketch{}

// UniqueBroadcast says that there is none like it.
func (sketch) UniqueBroadcast() {}

// Invalidates is never so.
func (sketch) Invalidates(memberlist.Broadcast) bool { return false }

// Message is the encoded record.
func (s sketch) Message() []byte { return s.text }

// Finished does nothing.
func (sketch) Finished() {}
