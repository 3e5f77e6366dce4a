package access

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/zonecache/cached/block"
)

const (
	maxKnown    = 16 << 10 // names, and manifests, remembered
	maxMissing  = 4 << 10  // names remembered not to exist
	maxVersions = 8        // of a name
	touchEvery  = time.Minute
)

// A history is what names point at, and pointed at before.
type history struct {
	keep time.Duration

	mu       sync.Mutex
	names    *simplelru.LRU[string, *name]
	pointing *simplelru.LRU[string, pointed]   // by the text of the manifest's id, as calls have it
	missing  *simplelru.LRU[string, time.Time] // names that did not exist, and when that was found out
	list     []Pointer                         // what the index listed last
	listedAt time.Time
}

// A name is an image's name with the versions it had, the latest first.
type name struct {
	askedAt atomic.Int64 // Unix nanoseconds
	list    atomic.Pointer[[]*version]
}

// A version is one manifest a name pointed at.
type version struct {
	manifest block.ID
	used     atomic.Int64 // Unix nanoseconds, exact to touchEvery
}

// A pointed is a manifest with the names that point, or pointed, at it. The slice
// is not changed.
type pointed struct {
	manifest block.ID
	by       []pointer
}

type pointer struct {
	name string
	v    *version
}

func newHistory(keep time.Duration) (*history, error) {
	h := &history{keep: keep}
	var err error
	if h.names, err = simplelru.NewLRU[string, *name](maxKnown, nil); err == nil {
		h.pointing, err = simplelru.NewLRU[string, pointed](maxKnown, nil)
	}
	if err == nil {
		h.missing, err = simplelru.NewLRU[string, time.Time](maxMissing, nil)
	}
	return h, err
}

func (n *name) asked() time.Time     { return time.Unix(0, n.askedAt.Load()) }
func (n *name) versions() []*version { return *n.list.Load() }

func (v *version) idle(now time.Time) time.Duration { return now.Sub(time.Unix(0, v.used.Load())) }

// touch notes a use. Not every one: all readers of an image would write there.
func (v *version) touch(now time.Time) {
	if v.idle(now) > touchEvery {
		v.used.Store(now.UnixNano())
	}
}

// name returns what is known of an image's name, or nil.
func (h *history) name(of string) *name {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, _ := h.names.Get(of)
	return n
}

// learn notes what a name points at now, and reports whether that is news.
func (h *history) learn(p Pointer, now time.Time) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing.Remove(p.Name)
	n, ok := h.names.Get(p.Name)
	if !ok {
		n = &name{}
		n.list.Store(&[]*version{})
		h.names.Add(p.Name, n)
	}
	n.askedAt.Store(now.UnixNano())
	had := n.versions()
	if news = len(had) == 0 || had[0].manifest != p.Manifest; news {
		n.advance(p.Manifest, now, h.keep)
	}
	v := n.versions()[0]
	v.touch(now)

	text := p.Manifest.String()
	was, _ := h.pointing.Get(text)
	if slices.Contains(was.by, pointer{p.Name, v}) {
		return news
	}
	by := []pointer{{p.Name, v}}
	for _, old := range was.by {
		if old.name != p.Name && old.v.idle(now) <= h.keep {
			by = append(by, old)
		}
	}
	h.pointing.Add(text, pointed{p.Manifest, by})
	return news
}

// miss notes that there is no such name now.
func (h *history) miss(name string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing.Add(name, now)
}

// isMissing reports whether there was no such name less than ttl ago.
func (h *history) isMissing(name string, now time.Time, ttl time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.missing.Get(name)
	return ok && now.Sub(at) < ttl
}

// advance puts a version before those that are still read.
func (n *name) advance(manifest block.ID, now time.Time, keep time.Duration) {
	v := &version{manifest: manifest}
	v.used.Store(now.UnixNano())
	list := []*version{v}
	for i, old := range n.versions() {
		if i == 0 {
			old.touch(now) // its time begins when it is followed
		}
		if old.manifest != manifest && old.idle(now) <= keep && len(list) < maxVersions {
			list = append(list, old)
		}
	}
	n.list.Store(&list)
}

// pointedAt returns the manifest whose id has this text when a name that the
// tenant may read points at it, or did until lately.
func (h *history) pointedAt(text string, now time.Time, tenant string, policy *Policy) (block.ID, bool) {
	h.mu.Lock()
	p, _ := h.pointing.Get(text)
	h.mu.Unlock()
	for _, by := range p.by {
		if policy.MayRead(tenant, by.name) && by.v.idle(now) <= h.keep {
			by.v.touch(now)
			return p.manifest, true
		}
	}
	return block.ID{}, false
}

// listDue reports whether the index may be asked for its list again.
func (h *history) listDue(now time.Time, ttl time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listedAt.IsZero() || now.Sub(h.listedAt) >= ttl
}

// listed keeps what the index listed.
func (h *history) listed(list []Pointer, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list, h.listedAt = list, now
}

// listedAs returns the names that the last list says point at the manifest.
func (h *history) listedAs(manifest block.ID) []Pointer {
	h.mu.Lock()
	list := h.list
	h.mu.Unlock()
	var of []Pointer
	for _, p := range list {
		if p.Manifest == manifest {
			of = append(of, p)
		}
	}
	return of
}
