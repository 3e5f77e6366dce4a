package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

// Preparations stand behind all other reads, and are bounded.
const (
	preparedAtOnce  = 2    // images
	warmedAtOnce    = 8    // blocks of each
	maxPreparations = 1024 // remembered, those under way included
	maxMoves        = 3    // of the name while it is prepared
)

// A preparer prepares images: it reads what their starts need, so that this host or
// the hosts of its zone that answer for it have it. Preparations outlive the daemon:
// each is a file, and those that were under way go on.
type preparer struct {
	node    *node
	catalog *catalog
	chooser chooser
	reader  block.Reader
	files   preparationFiles
	log     *slog.Logger
	ending  context.Context //nolint:containedctx // of the daemon
	end     context.CancelFunc
	slots   chan struct{}
	ready   func(image string) // called when an image was prepared
	work    sync.WaitGroup

	mu     sync.Mutex
	known  map[string]*preparation // by name of the image
	closed bool
}

// A preparation is one image's. preparer.mu guards it.
type preparation struct {
	*cachedv1.Preparation
	changed chan struct{} // closed when it is not what it was
}

var _ api.Preparations = (*preparer)(nil)

// newPreparer knows what is in dir, and goes on with it by resume.
func newPreparer(n *node, dir string, log *slog.Logger) *preparer {
	p := &preparer{
		node: n, catalog: n.catalog, chooser: chooser{n}, reader: n.reader, files: preparationFiles{dir, log}, log: log,
		slots: make(chan struct{}, preparedAtOnce), ready: func(string) {}, known: map[string]*preparation{},
	}
	p.ending, p.end = context.WithCancel(context.Background())
	for _, was := range p.files.load() {
		p.known[was.GetImage()] = &preparation{was, make(chan struct{})}
	}
	return p
}

// resume goes on with what was under way. In a zone the others must be known by
// then: a node that is alone reads everything from the origin.
func (p *preparer) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, entry := range p.known {
		if entry.GetState() == cachedv1.PreparationState_PREPARATION_STATE_PREPARING && !p.closed {
			p.work.Go(func() { p.run(entry) })
		}
	}
}

// Prepare implements [api.Preparations].
func (p *preparer) Prepare(_ context.Context, image string, scope cachedv1.PreparationScope) (*cachedv1.Preparation, error) {
	scope, err := scopeOf(scope)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if was := p.known[image]; was != nil && was.GetState() == cachedv1.PreparationState_PREPARATION_STATE_PREPARING && was.GetScope() >= scope {
		return proto.CloneOf(was.Preparation), nil
	}
	if p.closed {
		return nil, fmt.Errorf("the daemon ends: %w", block.ErrUnavailable)
	}
	if err := p.makeRoomLocked(image); err != nil {
		return nil, err
	}
	entry := &preparation{&cachedv1.Preparation{
		Image: image, Scope: scope, State: cachedv1.PreparationState_PREPARATION_STATE_PREPARING, Began: timestamppb.Now(),
	}, make(chan struct{})}
	if was := p.known[image]; was != nil {
		close(was.changed) // who watches it goes on with the new one
	}
	p.known[image] = entry
	p.files.save(entry.Preparation)
	p.work.Go(func() { p.run(entry) })
	return proto.CloneOf(entry.Preparation), nil
}

// makeRoomLocked forgets the preparation that ended first when there are too many.
func (p *preparer) makeRoomLocked(image string) error {
	if len(p.known) < maxPreparations || p.known[image] != nil {
		return nil
	}
	var oldest *preparation
	for _, e := range p.known {
		if e.GetEnded() != nil && (oldest == nil || e.GetEnded().AsTime().Before(oldest.GetEnded().AsTime())) {
			oldest = e
		}
	}
	if oldest == nil {
		return fmt.Errorf("%d images are being prepared: %w", len(p.known), block.ErrOverloaded)
	}
	delete(p.known, oldest.GetImage())
	p.files.remove(oldest.GetImage())
	return nil
}

// Watch implements [api.Preparations].
func (p *preparer) Watch(ctx context.Context, image string, tell func(*cachedv1.Preparation) error) error {
	for {
		p.mu.Lock()
		entry := p.known[image]
		if entry == nil {
			p.mu.Unlock()
			return fmt.Errorf("%w: %q was not prepared here", api.ErrNotFound, image)
		}
		now, changed := proto.CloneOf(entry.Preparation), entry.changed
		p.mu.Unlock()
		if err := tell(now); err != nil {
			return err
		}
		if now.GetState() != cachedv1.PreparationState_PREPARATION_STATE_PREPARING {
			return nil
		}
		select {
		case <-changed:
			if err := pause(ctx, watchEvery); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ending.Done():
			return fmt.Errorf("the daemon ends, the preparation goes on when it is back: %w", block.ErrUnavailable)
		}
	}
}

// watchEvery is how often who watches is told at most.
const watchEvery = 100 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// List implements [api.Preparations].
func (p *preparer) List() []*cachedv1.Preparation {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*cachedv1.Preparation, 0, len(p.known))
	for _, e := range p.known {
		all = append(all, proto.CloneOf(e.Preparation))
	}
	slices.SortFunc(all, func(a, b *cachedv1.Preparation) int { return cmp.Compare(a.GetImage(), b.GetImage()) })
	return all
}

// edit changes a preparation, unless it was replaced, and tells who watches.
func (p *preparer) edit(entry *preparation, change func(*cachedv1.Preparation)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[entry.GetImage()] != entry {
		return
	}
	change(entry.Preparation)
	close(entry.changed)
	entry.changed = make(chan struct{})
	if entry.GetState() != cachedv1.PreparationState_PREPARATION_STATE_PREPARING {
		p.files.save(entry.Preparation)
	}
}

func (p *preparer) run(entry *preparation) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-p.ending.Done():
		return
	}
	err := p.prepare(entry)
	if p.ending.Err() != nil {
		return // it goes on with the next daemon
	}
	if id, err := block.ParseID(p.manifestOf(entry)); err == nil {
		p.node.seen(resident{manifest: id, name: entry.GetImage()})
	}
	state, problem := cachedv1.PreparationState_PREPARATION_STATE_READY, ""
	if err == nil {
		p.ready(entry.GetImage())
	} else {
		state, problem = cachedv1.PreparationState_PREPARATION_STATE_FAILED, err.Error()
		p.log.Warn("an image could not be prepared", "image", entry.GetImage(), "error", err)
	}
	p.edit(entry, func(e *cachedv1.Preparation) { e.State, e.Problem, e.Ended = state, problem, timestamppb.Now() })
}

// manifestOf is the id of what is prepared; "" when it is not known.
func (p *preparer) manifestOf(entry *preparation) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return entry.GetManifestId()
}

// prepare reads what is wanted of the image, and again of what its name points at
// by then.
func (p *preparer) prepare(entry *preparation) error {
	was := block.ID{}
	for moves := 0; ; moves++ {
		e, err := p.catalog.Open(p.ending, entry.GetImage())
		if err != nil {
			return err
		}
		if e.Ref.Manifest == was {
			return nil
		}
		if moves == maxMoves {
			return fmt.Errorf("the name moved %d times meanwhile: prepare it again when it stays", maxMoves)
		}
		was = e.Ref.Manifest
		blocks, err := p.chooser.wanted(p.ending, was, entry.GetScope())
		if err != nil {
			return err
		}
		total := int64(0)
		for _, b := range blocks {
			total += int64(b.Length)
		}
		p.edit(entry, func(e *cachedv1.Preparation) {
			e.ManifestId, e.Blocks, e.Bytes, e.BlocksDone, e.BytesDone = was.String(), uint64(len(blocks)), uint64(total), 0, 0
		})
		ctx := block.WithCall(p.ending, block.Call{Image: entry.GetImage()})
		err = prefetch.Warm(ctx, p.reader, blocks, warmedAtOnce, func(b prefetch.Block) {
			p.edit(entry, func(e *cachedv1.Preparation) { e.BlocksDone++; e.BytesDone += uint64(b.Length) })
		})
		if err != nil {
			return err
		}
	}
}

// close leaves what is under way to the next daemon.
func (p *preparer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	p.work.Wait()
}

// prepareDir makes the folder of preparations; "" when there can be none.
func prepareDir(dir string, log *slog.Logger) string {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		log.Warn("preparations do not outlive the daemon", "error", err)
		return ""
	}
	return dir
}

// sinceText says how long something has taken, for people.
func sinceText(p *cachedv1.Preparation) time.Duration {
	end := time.Now()
	if p.GetEnded() != nil {
		end = p.GetEnded().AsTime()
	}
	return end.Sub(p.GetBegan().AsTime()).Round(time.Second / 10)
}
