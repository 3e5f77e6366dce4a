package block

import "time"

// A source is what an Arrival knows of the life of the one its bytes come from.
type source struct {
	first time.Time // when it first made itself heard; zero: not yet
	waits int       // how often it said that the asker must wait
	since time.Time // when it was asked, or last said so
}

func (s *source) heard() {
	if s.first.IsZero() {
		s.first = time.Now()
	}
}

// Asked says that a source is being asked for the bytes to come, from which
// nothing has been heard yet.
func (a *Arrival) Asked() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source = source{since: time.Now()}
}

// Waiting says that the source lives and lets the asker wait. Begin and Waiting
// are how a source makes itself heard.
func (a *Arrival) Waiting() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.source.heard()
	a.source.waits++
	a.waitedLocked()
	a.wakeLocked()
}

func (a *Arrival) waitedLocked() {
	now := time.Now()
	if !a.source.since.IsZero() {
		a.waited += now.Sub(a.source.since)
	}
	a.source.since = now
}

// Waited returns how long sources have let the asker wait in all, as they said.
func (a *Arrival) Waited() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waited
}

// Heard returns when the source was first heard from since Asked, the zero time
// if it was not, and how often it said that the asker must wait.
func (a *Arrival) Heard() (first time.Time, waits int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.source.first, a.source.waits
}
