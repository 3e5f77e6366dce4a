package peer

import (
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A send is one block on its way to a peer.
type send struct {
	*Tier
	id        block.ID
	reader    string
	source    *block.Arrival
	reception *reception // of which the send is a user; nil when the block is whole
	place     *place     // on the wire
	want      int        // bytes to send
	started   time.Time
	busy      time.Duration // of the uplink until then
	over      atomic.Bool
}

// began starts the clock of the uplink.
func (s *send) began() {
	s.started = time.Now()
	s.busy = s.rate.began(s.started)
}

// done is the Done of an [Answer].
func (s *send) done(sent int, err error) {
	if s.over.Swap(true) {
		return
	}
	now := time.Now()
	if s.rate.ended(sent, s.busy, now.Sub(s.started), now) {
		s.places.resize(s.onTheWire(s.Rate()))
	}
	if s.rate.due(now) {
		s.compare()
	}
	c, result := s.countsOf(s.reader), placement.Broken
	if err == nil && sent >= s.want {
		result = placement.Delivered
		c.sent.Add(1)
		s.stats.sending.Add(int64(now.Sub(s.started)))
		c.sentBytes.whole.Add(uint64(sent))
	} else {
		c.sentBytes.broken.Add(uint64(max(sent, 0)))
	}
	s.end(result)
}

// end gives back what the send holds.
func (s *send) end(result placement.Result) {
	s.places.exit(s.place)
	s.counter.ended(s.id, s.reader, result)
	s.source.Leave()
	if s.reception != nil {
		s.arrivals.leave(s.reception)
	}
}
