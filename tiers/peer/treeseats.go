package peer

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecache/cached/placement"
)

const maxSeats = 256 // images read at a time

// seats are this node's places in the trees of the images it reads.
type seats struct {
	*trees
	wake chan struct{} // a seat is wanted before the second is over

	mu      sync.Mutex
	taken   *simplelru.LRU[string, *seat] // by image, by use
	leaving bool                          // no seat is taken any more
}

// A seat is this node's place in one tree. The mutex of seats guards it.
type seat struct {
	image   string
	used    time.Time // when a block of the image was last read
	asked   time.Time // when the registrar was last asked
	asking  chan struct{}
	has     bool
	at      placement.Seat
	lost    string // the parent that failed; not yet told
	broken  int    // how many blocks in a row the parent has broken off
	renewal bool   // wanted soon: the seat seems to be out of date
}

// soonest is the least time between two asks for one seat.
const soonest = 100 * time.Millisecond

func (s *seats) init(g *trees) {
	taken, err := simplelru.NewLRU(maxSeats, func(image string, st *seat) {
		if st.has {
			s.begin(func() { s.vacate(s.ending, image) })
		}
	})
	if err != nil {
		panic(err) // maxSeats is not positive
	}
	s.trees, s.taken, s.wake = g, taken, make(chan struct{}, 1)
}

// take returns the node's seat for a read of the image. The first read waits a
// moment for it; false means that the read must go another way.
func (s *seats) take(ctx context.Context, image string) (placement.Seat, bool) {
	s.mu.Lock()
	st := s.useLocked(image)
	if st == nil {
		s.mu.Unlock()
		return placement.Seat{}, false
	}
	if st.has || st.asking == nil && time.Since(st.asked) < renewEvery {
		defer s.mu.Unlock()
		return st.at, st.has && st.lost == ""
	}
	s.askLocked(st)
	asking := st.asking
	s.mu.Unlock()
	if asking == nil {
		return placement.Seat{}, false
	}
	timer := time.NewTimer(waitForSeat)
	defer timer.Stop()
	select {
	case <-asking:
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.peek(image)
}

// peek returns the seat as it is.
func (s *seats) peek(image string) (placement.Seat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.taken.Peek(image)
	if !ok {
		return placement.Seat{}, false
	}
	return st.at, st.has && st.lost == ""
}

// use notes that the image is read by the node's children, if it has a seat.
func (s *seats) use(image string) (placement.Seat, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.taken.Get(image)
	if !ok {
		return placement.Seat{}, false
	}
	st.used = time.Now()
	return st.at, st.has
}

// complain says that the parent has failed: the next renewal tells the registrar.
func (s *seats) complain(image, parent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.taken.Peek(image); ok && st.has && st.at.Parent == parent && st.lost == "" {
		s.counts.complaints.Add(1)
		st.lost = parent
		s.soonLocked(st)
	}
}

// tooOften is how many blocks in a row a parent may break off. It may have lost
// its own source; if it is dead, the next ask shows it.
const tooOften = 3

// brokeOff says that the parent has broken off a block.
func (s *seats) brokeOff(image, parent string) {
	s.mu.Lock()
	often := false
	if st, ok := s.taken.Peek(image); ok && st.at.Parent == parent {
		st.broken++
		often = st.broken >= tooOften
	}
	s.mu.Unlock()
	if often {
		s.complain(image, parent)
	}
}

// served says that the parent has sent a right block.
func (s *seats) served(image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.taken.Peek(image); ok {
		st.broken = 0
	}
}

// doubt says that the seat seems to be out of date.
func (s *seats) doubt(image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.taken.Peek(image); ok && !st.renewal && time.Since(st.asked) >= soonest {
		s.soonLocked(st)
	}
}

func (s *seats) soonLocked(st *seat) {
	st.renewal = true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *seats) useLocked(image string) *seat {
	if s.leaving || checkImage(image) != nil {
		return nil
	}
	st, ok := s.taken.Get(image)
	if !ok {
		st = &seat{image: image}
		s.taken.Add(image, st)
	}
	st.used = time.Now()
	return st
}

// askLocked asks the registrar in the background, one ask for a seat at a time.
func (s *seats) askLocked(st *seat) {
	if st.asking != nil || s.leaving {
		return
	}
	done, lost := make(chan struct{}), st.lost
	st.asking, st.asked, st.renewal = done, time.Now(), false
	begun := s.begin(func() {
		defer close(done)
		at, err := s.sit(s.ending, st.image, lost)
		s.mu.Lock()
		defer s.mu.Unlock()
		st.asking = nil
		if err != nil {
			s.opts.Logger.Debug("no seat", "image", st.image, "error", err)
			return // the seat it has is as good as before
		}
		if at.Parent != st.at.Parent {
			st.broken = 0
		}
		st.at, st.has = at, true
		if st.lost == lost || st.lost != at.Parent {
			st.lost = ""
		}
	})
	if !begun {
		st.asking = nil
		close(done)
	}
}

// keep renews the seats until the tier is closed, and then gives them back.
func (s *seats) keep() {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.renew(func(st *seat) bool { return true })
		case <-s.wake:
			s.renew(func(st *seat) bool { return st.renewal })
		case <-s.ending.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ending), waitForSeat)
			defer cancel()
			s.leaveAll(ctx)
			return
		}
	}
}

// renew asks for the seats that are due, and leaves the trees of images that
// nobody reads any more.
func (s *seats) renew(due func(*seat) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, image := range s.taken.Keys() {
		st, ok := s.taken.Peek(image)
		switch {
		case !ok || st.asking != nil:
		case now.Sub(st.used) > idleFor:
			s.taken.Remove(image)
		case due(st):
			s.askLocked(st)
		}
	}
}

// leaveAll gives all seats back and takes none any more.
func (s *seats) leaveAll(ctx context.Context) {
	s.mu.Lock()
	s.leaving = true
	var images []string
	for _, image := range s.taken.Keys() {
		if st, ok := s.taken.Peek(image); ok && st.has {
			st.has = false // the eviction need not say so
			images = append(images, image)
		}
	}
	s.taken.Purge()
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, image := range images {
		wg.Go(func() { s.vacate(ctx, image) })
	}
	wg.Wait()
}

func (s *seats) status(all map[string]TreeStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, image := range s.taken.Keys() {
		if st, ok := s.taken.Peek(image); ok && st.has {
			t := all[image]
			t.Image, t.Joined, t.Seat = image, true, st.at
			all[image] = t
		}
	}
}
