package block

import "sync"

// An Urgency says of a read that nobody waited for whether somebody does by now:
// who queues it goes by that instead of its cause. The zero value is ready; a nil
// one is never raised.
type Urgency struct {
	mu     sync.Mutex
	raised chan struct{} // nil until somebody asks
	is     bool
	also   []*Urgency // raised with it
}

// Raise says that somebody waits.
func (u *Urgency) Raise() {
	if u == nil {
		return
	}
	u.mu.Lock()
	was, also := u.is, u.also
	u.is, u.also = true, nil
	if !was && u.raised != nil {
		close(u.raised)
	}
	u.mu.Unlock()
	for _, other := range also {
		other.Raise()
	}
}

// Raised returns what is closed once somebody waits.
func (u *Urgency) Raised() <-chan struct{} {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.raised == nil {
		u.raised = make(chan struct{})
		if u.is {
			close(u.raised)
		}
	}
	return u.raised
}

// Raises has other raised when this one is, now if it was.
func (u *Urgency) Raises(other *Urgency) {
	if u == nil || other == nil || u == other {
		return
	}
	u.mu.Lock()
	was := u.is
	if !was {
		u.also = append(u.also, other)
	}
	u.mu.Unlock()
	if was {
		other.Raise()
	}
}
