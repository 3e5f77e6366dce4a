package prefetch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecache/cached/block"
)

// A Workload is what runs in an image.
type Workload struct {
	Manifest block.ID
	Name     string
}

// A Shelf is where traces and profiles are kept: the origin. Errors are those of
// a [block.Reader].
type Shelf interface {
	// PutTrace stores a trace; names sort by age.
	PutTrace(ctx context.Context, w Workload, name string, p []byte) error
	Traces(ctx context.Context, w Workload) ([]string, error)
	Trace(ctx context.Context, w Workload, name string) ([]byte, error)
	DeleteTrace(ctx context.Context, w Workload, name string) error
	// Profile returns the block with the bundle of the workload's traces,
	// NamedProfile which version of an image with a name was started last, and its
	// bundle.
	Profile(ctx context.Context, w Workload) (block.ID, error)
	NamedProfile(ctx context.Context, name, workload string) (manifest, bundle block.ID, err error)
	// PutProfile stores a bundle as a block, and makes the profile of the workload
	// and of each of the names point at it.
	PutProfile(ctx context.Context, w Workload, bundle []byte, names []string) error
}

// LibraryOptions configure a Library.
type LibraryOptions struct {
	Shelf Shelf
	// Reader reads the bundles: through the tiers, so that a zone reads each once.
	Reader block.Reader
	// Blocks returns the blocks of an image in order, for profiles of earlier
	// versions.
	Blocks func(ctx context.Context, manifest block.ID) ([]Block, error)
	// Fresh is how long a profile is used before the shelf is asked for a newer one;
	// default a minute.
	Fresh time.Duration
	// MaxProfiles is how many profiles are remembered; default 256.
	MaxProfiles int
	Logger      *slog.Logger // nil discards
}

// A Library knows the profiles of workloads, and learns from traces.
type Library struct {
	opts  LibraryOptions
	known *lru.Cache[Workload, known]

	mu sync.Mutex // of what keep reads and writes
}

type known struct {
	profile *Profile // nil: there is none
	bundle  block.ID // zero: of traces that only this host has, or carried over
	traces  []*Trace // own ones that the shelf did not take
	asked   time.Time
}

// NewLibrary returns a library over o.Shelf.
func NewLibrary(o LibraryOptions) *Library {
	if o.Fresh <= 0 {
		o.Fresh = time.Minute
	}
	if o.MaxProfiles <= 0 {
		o.MaxProfiles = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	cache, err := lru.New[Workload, known](o.MaxProfiles)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &Library{opts: o, known: cache}
}

// Profile returns what is known of a workload; name is one that its image has, or
// empty. Where no start of this version was recorded, it is carried over from the
// version of the name that was started last. It is block.ErrNotFound when there is
// nothing to go by.
func (l *Library) Profile(ctx context.Context, w Workload, name string) (*Profile, error) {
	was, ok := l.known.Get(w)
	if ok && time.Since(was.asked) < l.opts.Fresh {
		return was.result()
	}
	now := known{asked: time.Now(), traces: was.traces}
	id, err := l.opts.Shelf.Profile(ctx, w)
	switch {
	case err == nil && ok && id == was.bundle:
		now.profile, now.bundle = was.profile, id
	case err == nil:
		if now.profile, err = l.merged(ctx, w, id, was.traces); err == nil {
			now.bundle = id
		}
	case errors.Is(err, block.ErrNotFound) && len(was.traces) > 0:
		now.profile, err = was.profile, nil
	case errors.Is(err, block.ErrNotFound):
		if now.profile, err = l.inherited(ctx, w, name); errors.Is(err, block.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		if ok && was.profile != nil { // an origin that is down takes nothing away
			return was.profile, nil
		}
		return nil, fmt.Errorf("profile of %s %q: %w", w.Manifest.Short(), w.Name, err)
	}
	l.known.Add(w, now)
	return now.result()
}

// Bundled returns the profile that was made of a bundle alone, if it is remembered.
func (l *Library) Bundled(bundle block.ID) *Profile {
	for _, k := range l.known.Values() {
		if k.bundle == bundle && len(k.traces) == 0 {
			return k.profile
		}
	}
	return nil
}

// Look is Profile for who only wants to know: that there is none is not remembered,
// so that a start soon after asks again.
func (l *Library) Look(ctx context.Context, w Workload, name string) (*Profile, error) {
	_, knew := l.known.Peek(w)
	p, err := l.Profile(ctx, w, name)
	if now, _ := l.known.Peek(w); !knew && now.profile == nil && len(now.traces) == 0 {
		l.known.Remove(w)
	}
	return p, err
}

func (k known) result() (*Profile, error) {
	if k.profile == nil {
		return nil, fmt.Errorf("no start was recorded: %w", block.ErrNotFound)
	}
	return k.profile, nil
}

// merged reads a bundle and merges it with own traces.
func (l *Library) merged(ctx context.Context, w Workload, bundle block.ID, own []*Trace) (*Profile, error) {
	traces, err := l.bundle(ctx, bundle)
	if err != nil {
		return nil, err
	}
	if len(traces) > 0 && (traces[0].Image != w.Manifest || traces[0].Workload != w.Name) {
		return nil, fmt.Errorf("%w: bundle of %s %q", block.ErrCorrupt, traces[0].Image.Short(), traces[0].Workload)
	}
	for _, t := range own { // unless the shelf has it all the same
		if !slices.ContainsFunc(traces, func(o *Trace) bool { return o.Began.Equal(t.Began) && slices.Equal(o.Touches, t.Touches) }) {
			traces = append(traces, t)
		}
	}
	return Merge(traces)
}

func (l *Library) bundle(ctx context.Context, id block.ID) ([]*Trace, error) {
	b, err := l.opts.Reader.ReadBlock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	traces, err := DecodeBundle(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", block.ErrCorrupt, err)
	}
	return traces, nil
}

// inherited carries the profile of an earlier version over.
func (l *Library) inherited(ctx context.Context, w Workload, name string) (*Profile, error) {
	if name == "" || l.opts.Blocks == nil {
		return nil, block.ErrNotFound
	}
	manifest, bundle, err := l.opts.Shelf.NamedProfile(ctx, name, w.Name)
	if err != nil {
		return nil, err
	}
	old, err := l.merged(ctx, Workload{Manifest: manifest, Name: w.Name}, bundle, nil)
	if err != nil {
		return nil, err
	}
	was, err := l.opts.Blocks(ctx, manifest)
	if err != nil {
		return nil, err
	}
	is, err := l.opts.Blocks(ctx, w.Manifest)
	if err != nil {
		return nil, err
	}
	return old.CarryOver(w.Manifest, was, is)
}

// Learn adds a start to what is known of its workload, for all hosts: the trace is
// stored, and the profile is made of the latest ones that are there then. names
// are those the image has; they point at its profile for versions to come.
//
// Hosts may learn at once. Whoever writes the profile looks once more whether a
// trace has come meanwhile, so the last one to write has seen all of them. When
// the shelf takes nothing, this host goes on with what it has.
func (l *Library) Learn(ctx context.Context, t *Trace, names []string) error {
	w := Workload{Manifest: t.Image, Name: t.Workload}
	p, err := t.Encode()
	if err == nil {
		_, err = EncodeBundle([]*Trace{t}) // one that fits into no profile would keep the others out
	}
	if err != nil {
		return err
	}
	if err = l.opts.Shelf.PutTrace(ctx, w, traceName(t.Began), p); err == nil {
		err = l.rebuild(ctx, w, names)
	}
	if err != nil {
		l.keep(ctx, w, t)
		return fmt.Errorf("learn what %s %q read: %w", w.Manifest.Short(), w.Name, err)
	}
	return nil
}

// sameBurst is how far apart starts are that have nothing new to tell of each other.
const sameBurst = time.Minute

// enoughOfABurst is how many traces tell of one.
const enoughOfABurst = 2

// KnownFrom reports whether other starts of the workload, from about the same time,
// have been told of already.
func (l *Library) KnownFrom(ctx context.Context, t *Trace) (bool, error) {
	names, err := l.opts.Shelf.Traces(ctx, Workload{Manifest: t.Image, Name: t.Workload})
	n := 0
	for _, name := range names {
		if began, ok := beganOf(name); ok && began.Sub(t.Began).Abs() < sameBurst {
			n++
		}
	}
	return n >= enoughOfABurst, err
}

// traceName is a name that sorts by age and that no other host gives.
func traceName(began time.Time) string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%013d-%s", began.UnixMilli(), hex.EncodeToString(random[:]))
}

// beganOf is when a trace of that name began.
func beganOf(name string) (time.Time, bool) {
	var began int64
	_, err := fmt.Sscanf(name, "%d-", &began)
	return time.UnixMilli(began), err == nil
}

// maxRebuilds bounds how often a profile is written because others learn, too: the
// last of them to end writes it for all.
const maxRebuilds = 8

func (l *Library) rebuild(ctx context.Context, w Workload, names []string) error {
	var seen []string
	for range maxRebuilds {
		all, err := l.opts.Shelf.Traces(ctx, w)
		if err != nil {
			return err
		}
		if all, err = l.dropFuture(ctx, w, all); err != nil {
			return err
		}
		latest := all[max(0, len(all)-MaxTraces):]
		if seen != nil && slices.Equal(latest, seen) {
			return nil
		}
		seen = latest
		traces, err := l.read(ctx, w, latest)
		if err != nil {
			return err
		}
		bundle, err := EncodeBundle(traces)
		if err != nil {
			return err
		}
		profile, err := Merge(traces)
		if err != nil {
			return err
		}
		l.known.Add(w, known{profile: profile, bundle: block.Sum(bundle), asked: time.Now()})
		if err := l.opts.Shelf.PutProfile(ctx, w, bundle, names); err != nil {
			return err
		}
		for _, old := range all[:len(all)-len(latest)] {
			if err := l.opts.Shelf.DeleteTrace(ctx, w, old); err != nil {
				return err
			}
		}
	}
	return nil
}

// aheadOfTime is how far ahead of this host's clock others' may be. What claims to come
// from later would be the latest for as long, and every real start older.
const aheadOfTime = time.Hour

// dropFuture leaves out what comes from the future, and returns the others' names. It
// is deleted only where there is a lot of it: it may be this host whose clock is off.
func (l *Library) dropFuture(ctx context.Context, w Workload, names []string) ([]string, error) {
	var rest, future []string
	for _, name := range names {
		if began, ok := beganOf(name); ok && time.Until(began) > aheadOfTime {
			future = append(future, name)
		} else {
			rest = append(rest, name)
		}
	}
	if len(future) > 0 {
		l.opts.Logger.Warn("traces from the future are left out: the clock of the host that recorded them, or of this one, is off", "manifest", w.Manifest, "workload", w.Name, "traces", len(future))
	}
	for _, name := range future[:max(0, len(future)-MaxTraces)] {
		if err := l.opts.Shelf.DeleteTrace(ctx, w, name); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// read returns the named traces. One that is damaged, foreign or gone is left out.
func (l *Library) read(ctx context.Context, w Workload, names []string) ([]*Trace, error) {
	var blocks []Block // of the image; none: not to be had
	if l.opts.Blocks != nil {
		blocks, _ = l.opts.Blocks(ctx, w.Manifest)
	}
	var traces []*Trace
	for _, name := range names {
		p, err := l.opts.Shelf.Trace(ctx, w, name)
		if errors.Is(err, block.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t, err := DecodeTrace(p)
		switch {
		case err != nil:
		case t.Image != w.Manifest || t.Workload != w.Name:
			err = fmt.Errorf("%w: it is of %s %q", ErrTrace, t.Image.Short(), t.Workload)
		case len(blocks) > 0 && len(blocks) != int(t.Blocks):
			err = fmt.Errorf("%w: it is of an image of %d blocks, this one has %d", ErrTrace, t.Blocks, len(blocks))
		}
		if err != nil {
			l.opts.Logger.Warn("a trace is left out", "manifest", w.Manifest, "workload", w.Name, "trace", name, "error", err)
			continue
		}
		traces = append(traces, t)
	}
	return traces, nil
}

// keep remembers a trace that the shelf did not take, beside what is known.
func (l *Library) keep(ctx context.Context, w Workload, t *Trace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, _ := l.known.Peek(w)
	own := append(slices.Clone(was.traces), t)
	own = own[max(0, len(own)-MaxTraces):]
	now := known{profile: was.profile, bundle: was.bundle, traces: own, asked: time.Now()}
	var p *Profile
	var err error
	if was.bundle.IsZero() {
		p, err = Merge(own)
	} else {
		p, err = l.merged(ctx, w, was.bundle, own)
	}
	if err == nil { // else what is known stays
		now.profile = p
	}
	l.known.Add(w, now)
}
