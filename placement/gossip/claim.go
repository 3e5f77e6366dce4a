package gossip

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// claimPause is the shortest pause between two claims of a contested name.
const claimPause = 400 * time.Millisecond

// A contest is about this node's name: another node holds it, and this one was
// refused. If that is our former self, it will soon be known to be dead, but not
// by all nodes at the same moment, and memberlist does not repeat a claim that was
// refused. So we do, until nobody has refused it for as long as a suspicion can last.
type contest struct {
	mu          sync.Mutex
	first, last time.Time // refusals; zero: the name is ours
}

// refused notes a refusal and says whether it begins a contest.
func (c *contest) refused(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	begins := c.last.IsZero()
	if begins {
		c.first = now
	}
	c.last = now
	return begins
}

// pause returns how long to wait before the next claim, an eighth of the time that
// the contest has lasted, and whether there is a contest.
func (c *contest) pause(now time.Time, window, longest time.Duration) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.IsZero() {
		return 0, false
	}
	if now.Sub(c.last) > window {
		c.first, c.last = time.Time{}, time.Time{}
		return 0, false
	}
	return min(max(claimPause, now.Sub(c.first)/8), longest), true
}

func (c *contest) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.last.IsZero()
}

// suspicionMax is by how much memberlist may stretch a suspicion that nobody confirms.
const suspicionMax = 4

// window is longer than any suspicion in a zone of n nodes.
func (t Timing) window(n int) time.Duration {
	scale := max(1, math.Log10(float64(n)+1))
	return time.Duration(scale*float64(suspicionMax*t.Suspicion)*float64(t.Probe)) + 2*time.Second + t.Seek/4
}

// rival is told that another node holds our name.
func (m *Membership) rival() {
	if m.contest.refused(time.Now()) {
		select {
		case m.nudge <- struct{}{}:
		default:
		}
	}
}

// claim claims our name again if it is contested, and returns when to do so next.
// Asking a member for its state is what tells whether it still has the other one.
func (s *seeker) claim(alive map[netip.AddrPort]string) (time.Duration, bool) {
	pace := s.m.opt.Timing
	wait, ok := s.m.contest.pause(time.Now(), pace.window(len(alive)), pace.Seek)
	if !ok || len(alive) == 0 {
		return 0, false
	}
	for a := range alive { // in random order
		s.join([]netip.AddrPort{a}, map[netip.AddrPort]error{})
		break
	}
	_ = s.m.announce(time.Millisecond)
	return jitter(wait), true
}
