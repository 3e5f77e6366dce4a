package gossip

import (
	"fmt"
	"math/bits"
	"sync"
	"time"
)

// saying is what this node says of itself.
type saying struct {
	mu   sync.Mutex
	meta meta
	rate uint32 // as measured; meta.rate is as announced
}

func (s *saying) encode() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meta.encode()
}

func (s *saying) change(f func(*meta)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.meta)
}

// measure notes a rate and says whether it is worth announcing.
func (s *saying) measure(mbit uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate = mbit
	said := s.meta.rate
	return 4*uint64(max(mbit, said)-min(mbit, said)) > uint64(said)
}

// A publication asks the publisher to announce what this node says of itself now.
type publication struct {
	timeout time.Duration
	done    chan<- error
}

// publisher announces. It is the only one: [memberlist.Memberlist.UpdateNode] must
// not be called twice at once.
func (m *Membership) publisher() {
	var due <-chan time.Time
	var last time.Time
	for {
		select {
		case <-m.ctx.Done():
			return
		case p := <-m.publish:
			p.done <- m.list.UpdateNode(p.timeout)
		case <-m.rates:
			if due == nil {
				wait := time.Duration(0)
				if !last.IsZero() {
					wait = m.opt.Timing.Publish - time.Since(last)
				}
				due = time.After(max(0, wait))
			}
		case <-due:
			due = nil
			m.said.mu.Lock()
			m.said.meta.rate = m.said.rate
			m.said.mu.Unlock()
			last = time.Now()
			_ = m.list.UpdateNode(time.Millisecond) // it is on its way; nobody waits for its arrival
		}
	}
}

// announce has the publisher announce and waits until enough members were told.
func (m *Membership) announce(timeout time.Duration) error {
	done := make(chan error, 1)
	select {
	case m.publish <- publication{timeout, done}:
	case <-m.ctx.Done():
		return fmt.Errorf("gossip: %w", m.ctx.Err())
	}
	return <-done
}

// SetRate announces the measured rate of this node's uplink, in Mbit/s, if it
// differs by more than a quarter from what was announced, every few seconds at most.
func (m *Membership) SetRate(mbit uint32) {
	if !m.said.measure(mbit) {
		return
	}
	select {
	case m.rates <- struct{}{}:
	default:
	}
}

// Leave tells the zone that this node drains: it leaves everybody's ring, its own
// included, and still answers. Leave returns when the news should have reached
// all, or with an error after the timeout; then they find out later. Close it when
// it has drained.
func (m *Membership) Leave(timeout time.Duration) error {
	begin := time.Now()
	m.leaving.Store(true)
	m.said.change(func(s *meta) { s.leaving = true })
	alone := m.table.size() < 2
	if err := m.announce(min(timeout, 2*time.Second)); err != nil {
		return fmt.Errorf("gossip: announce the leave: %w", err)
	}
	if alone {
		return nil
	}
	// It was sent often enough by this node; those who heard it pass it on, each
	// round of gossip to about four times as many.
	rounds := bits.Len(uint(m.table.size()))/2 + 2
	wait := m.opt.Timing.Gossip * time.Duration(rounds)
	spread := time.NewTimer(min(wait, max(0, timeout-time.Since(begin))))
	defer spread.Stop()
	select {
	case <-spread.C:
	case <-m.ctx.Done():
	}
	return nil
}
