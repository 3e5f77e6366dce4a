package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// longPatience is how many budgets a read has at most, while whom it asks waits for
// the origin, or the zone is split.
const longPatience = 3

var errEndless = errors.New("says wait, and nothing comes")

// A patience is how long a read may take among peers.
//
// The budget is for peers that are dead, silent or slow. A node that says "wait"
// reads the origin, or follows somebody who does: to read it there as well would
// make a slow origin slower for all, until every node reads every block. So what a
// read waits by order does not count, as long as it has lost no source: then it may
// be faults that make others wait. Behind a partition nobody has noticed it is the
// same, see silences. Whoever says "wait" is believed as long as reads of the origin
// take, see originTimes, and never beyond most: where the origin is fast, so that
// the word cannot be true, a read takes a budget.
type patience struct {
	budget, most time.Duration
}

// patience returns how long a read may take: of a deadline, half must be left for
// the origin, and a quarter where the zone waits for it anyway.
func (t *Tier) patience(ctx context.Context) patience {
	p := patience{budget: t.budget(ctx), most: longPatience * t.opts.Budget}
	p.budget -= p.budget / heirShare // what may follow, in a chain that goes on to Heirs
	if until, ok := block.Deadline(ctx); ok {
		p.most = max(min(p.most, time.Until(until)*3/4), p.budget)
	}
	return p
}

// A stopwatch calls spent once a read has taken longer than it may.
type stopwatch struct {
	*Tier
	reception *reception
	patience  patience
	began     time.Time
	spent     func()

	mu    sync.Mutex
	timer *time.Timer // nil once stopped
}

func (t *Tier) newStopwatch(r *reception, p patience, spent func()) *stopwatch {
	s := &stopwatch{Tier: t, reception: r, patience: p, began: time.Now(), spent: spent}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(p.budget, s.look)
	return s
}

func (s *stopwatch) look() {
	now := time.Now()
	may := s.patience.budget + min(s.arrivals.waited(s.reception), s.origin.longest(now))
	if s.peers.silent.split(now) {
		may = s.patience.most
	}
	left := min(may, s.patience.most) - now.Sub(s.began)
	switch {
	case left > 0:
	case may > s.patience.most && s.patience.most == longPatience*s.opts.Budget:
		if source, told := s.arrivals.lets(s.reception); told {
			s.distrust(s.peers.get(source), light, "lets wait for ever", errEndless)
		}
		fallthrough
	default:
		s.spent()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Reset(left)
	}
}

func (s *stopwatch) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	s.timer = nil
}
