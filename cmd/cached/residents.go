package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/placement/residency"
	"github.com/zonecache/cached/prefetch"
)

// What is told of, and how often this host looks how much it holds.
const (
	maxResidents  = 128 // images
	maxLooked     = 2048
	lookSoon      = 200 * time.Millisecond // after a start or a preparation
	lookEvery     = 10 * time.Second
	lookCost      = 50 // a round over all images takes at most one part in so many of the time
	askWithin     = 10 * time.Second
	askFirstAgain = 30 * time.Second // what starts need; each time later by half as much again
	askLastAgain  = time.Hour
)

// A resident is an image that this host has to do with: starts of it took place
// here, or it was prepared. What it needs is found out now and then.
type resident struct {
	manifest  block.ID
	name      string // "" where it was only given by its id
	workloads []string
	packed    map[string]block.ID // by workload: the pack that was read
	needs     *needs              // nil: not known yet
	ask       time.Time           // again
	pause     time.Duration
	turn      int // how often it was to be asked at once
}

// residents knows how much of the images that it has to do with this host holds,
// and says so in the table, from where the zone hears of it. What is no longer held
// is noticed when it looks again.
type residents struct {
	node   *node
	table  *residency.Table
	file   residentsFile
	log    *slog.Logger
	wake   chan struct{}
	ending context.Context //nolint:containedctx // of the daemon
	end    context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	images *lru.Cache[block.ID, *resident]
	due    map[block.ID]bool // look at these soon
	edited bool              // images is not what the file says
}

// newResidents goes on with the images in the file; run looks at them.
func newResidents(n *node, name, file string, log *slog.Logger) *residents {
	images, err := lru.New[block.ID, *resident](maxResidents)
	if err != nil { // only for a size below one
		panic(err)
	}
	now := time.Now()
	table := residency.New(name, uint64(now.UnixMilli()), now)
	r := &residents{node: n, table: table, file: residentsFile{file, log}, log: log, wake: make(chan struct{}, 1), images: images, due: map[block.ID]bool{}}
	r.ending, r.end = context.WithCancel(context.Background())
	for _, was := range r.file.load() {
		r.images.Add(was.manifest, &was)
	}
	return r
}

// start begins to look.
func (r *residents) start() { r.work.Go(r.run) }

// note says that this host has to do with an image, or has more or less of it than
// before.
func (r *residents) note(seen resident) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is, ok := r.images.Get(seen.manifest)
	if !ok {
		is = &resident{manifest: seen.manifest}
		r.images.Add(seen.manifest, is)
		r.edited = true
	}
	if seen.name != "" && !isID(seen.name) && is.name != seen.name {
		is.name, r.edited = seen.name, true
	}
	for _, w := range seen.workloads {
		if !slices.Contains(is.workloads, w) && len(is.workloads) < maxNeeds {
			is.workloads, r.edited = append(is.workloads, w), true
			is.askNow()
		}
	}
	r.nudgeLocked(seen.manifest)
}

// opened says that what starts of a workload need is read out of its pack. The zone
// hears of it at once: who starts it next does the same.
func (r *residents) opened(w prefetch.Workload, pack block.ID) {
	r.mu.Lock()
	is, ok := r.images.Get(w.Manifest)
	if !ok {
		is = &resident{manifest: w.Manifest}
		r.images.Add(w.Manifest, is)
	}
	r.edited = is.opened(w.Name, pack) || r.edited
	r.mu.Unlock()
	r.table.Set(residency.Packed(pack), residency.All, time.Now())
}

// opened notes a workload's pack, and reports whether that is news.
func (is *resident) opened(workload string, pack block.ID) bool {
	was, known := is.packed[workload]
	if was == pack || !known && len(is.packed) >= maxNeeds {
		return false
	}
	if is.packed == nil {
		is.packed = map[string]block.ID{}
	}
	is.packed[workload] = pack
	return true
}

// unpacks reports whether what a start needs is to be read out of its pack: unless the
// rest of the zone has the blocks, and did not get them out of it. The zone would read
// the origin twice, where some hosts read parts and others blocks.
func (r *residents) unpacks(w prefetch.Workload, pack block.ID) bool {
	if r.table.Most(residency.Packed(pack)) > 0 {
		return true
	}
	return r.table.Most(residency.Workload(w.Manifest, w.Name), residency.Starts(w.Manifest), residency.Whole(w.Manifest)) == 0
}

// learned says that more is known of what starts of an image need.
func (r *residents) learned(w prefetch.Workload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is, ok := r.images.Peek(w.Manifest); ok {
		is.askNow()
		r.nudgeLocked(w.Manifest)
	}
}

func (is *resident) askNow() {
	is.ask, is.pause = time.Time{}, 0
	is.turn++
}

func (r *residents) nudgeLocked(manifest block.ID) {
	r.due[manifest] = true
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run looks soon at what was noted, and at all now and then.
func (r *residents) run() {
	soon, all := time.NewTimer(0), time.NewTimer(0)
	defer soon.Stop()
	defer all.Stop()
	for {
		select {
		case <-r.ending.Done():
			return
		case <-r.wake:
			soon.Reset(lookSoon)
		case <-soon.C:
			r.mu.Lock()
			due := r.due
			r.due = map[block.ID]bool{}
			r.mu.Unlock()
			for id := range due {
				r.look(id)
			}
			r.keep()
		case <-all.C:
			began := time.Now()
			r.mu.Lock()
			ids := r.images.Keys()
			r.mu.Unlock()
			for _, id := range slices.Backward(ids) { // the latest first
				r.look(id)
			}
			r.keep()
			all.Reset(max(lookEvery, lookCost*time.Since(began)))
		}
	}
}

// look finds out how much this host holds of an image, and says so.
func (r *residents) look(id block.ID) {
	if r.ending.Err() != nil {
		return
	}
	e, err := r.node.catalog.Open(r.ending, id.String())
	if err != nil {
		return
	}
	d := r.needsOf(e)
	if d == nil {
		return
	}
	now := time.Now()
	r.table.Set(residency.Whole(id), r.node.share(e.Manifest, &d.whole, maxLooked), now)
	for w, pack := range r.packedOf(id) {
		set := d.workloads[w]
		if set == nil {
			set = &d.whole
		}
		// Who holds nothing any more is no sign that the zone does.
		share := residency.Gone
		if r.node.share(e.Manifest, set, maxLooked) > 0 {
			share = residency.All
		}
		r.table.Set(residency.Packed(pack), share, now)
	}
	if d.starts == nil {
		return
	}
	r.table.Set(residency.Starts(id), r.node.share(e.Manifest, d.starts, maxLooked), now)
	for w, set := range d.workloads {
		r.table.Set(residency.Workload(id, w), r.node.share(e.Manifest, set, maxLooked), now)
	}
}

// packedOf returns the packs of an image that were read here, by workload.
func (r *residents) packedOf(id block.ID) map[string]block.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is, ok := r.images.Peek(id); ok {
		return maps.Clone(is.packed)
	}
	return nil
}

// needsOf returns what starts of a resident need, and asks the origin when it is
// time: rarely, since a zone has many hosts.
func (r *residents) needsOf(e image.Entry) *needs {
	id := e.Ref.Manifest
	r.mu.Lock()
	is, ok := r.images.Peek(id)
	if !ok || time.Now().Before(is.ask) {
		defer r.mu.Unlock()
		if !ok {
			return nil
		}
		return is.needs
	}
	turn, workloads, name, known := is.turn, slices.Clone(is.workloads), is.name, is.needs
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.ending, askWithin)
	defer cancel()
	found, err := findNeeds(ctx, r.node, id, name, workloads)
	if err != nil {
		r.log.Debug("what starts of an image need cannot be found out now", "image", name, "manifest", id.Short(), "error", err)
		if found = known; found == nil {
			found = newNeeds(e.Manifest, nil)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	is.needs = found
	if is.turn == turn {
		is.pause = min(max(askFirstAgain, is.pause*3/2), askLastAgain)
		is.ask = time.Now().Add(is.pause)
	}
	return found
}

// workloads returns which workloads of an image have started here.
func (r *residents) workloads(id block.ID) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is, ok := r.images.Peek(id); ok {
		return slices.Clone(is.workloads)
	}
	return nil
}

// found tells what starts of an image need, which somebody else has found out.
func (r *residents) found(id block.ID, d *needs) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is, ok := r.images.Peek(id); ok {
		is.needs = d
		r.nudgeLocked(id)
	}
}

// keep says no more of images that have made room for others, and writes the file.
func (r *residents) keep() {
	keys := map[residency.Key]bool{}
	r.mu.Lock()
	edited := r.edited
	r.edited = false
	var all []resident
	for _, id := range r.images.Keys() { // the oldest first
		is, _ := r.images.Peek(id)
		all = append(all, resident{manifest: id, name: is.name, workloads: slices.Clone(is.workloads), packed: maps.Clone(is.packed)})
		keys[residency.Whole(id)] = true
		for _, pack := range is.packed {
			keys[residency.Packed(pack)] = true
		}
		if is.needs == nil || is.needs.starts == nil {
			continue
		}
		keys[residency.Starts(id)] = true
		for w := range is.needs.workloads {
			keys[residency.Workload(id, w)] = true
		}
	}
	r.mu.Unlock()
	r.table.Retain(func(k residency.Key) bool { return keys[k] }, time.Now())
	if edited {
		r.file.save(all)
	}
}

// close ends the looking.
func (r *residents) close() {
	r.end()
	r.work.Wait()
	r.keep()
}
