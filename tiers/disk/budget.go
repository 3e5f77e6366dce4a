package disk

import (
	"sync"
	"time"
)

// A budget spreads the bytes a day that the flash may be written. It saves up
// at most one hour's share; what was already accepted may overdraw it.
type budget struct {
	perDay int64 // 0: no bound
	now    func() time.Time

	mu    sync.Mutex
	saved float64
	last  time.Time
}

func newBudget(perDay int64, now func() time.Time) *budget {
	return &budget{perDay: perDay, now: now, saved: float64(perDay) / 24, last: now()}
}

// allows reports whether there is anything left to spend.
func (b *budget) allows() bool {
	if b.perDay == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.saved += float64(b.perDay) * now.Sub(b.last).Hours() / 24
	b.saved = min(b.saved, float64(b.perDay)/24)
	b.last = now
	return b.saved > 0
}

// spend notes n bytes written.
func (b *budget) spend(n int64) {
	if b.perDay == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved -= float64(n)
}
