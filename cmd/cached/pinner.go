package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/prefetch"
)

const (
	maxPins   = 1024
	pinShare  = 2 // pins together take at most 1/2 of L2
	repinEach = 5 * time.Minute
)

// A pin is an image that is kept. pinner.mu guards it; blocks is never changed in
// place.
type pin struct {
	image    string
	manifest string
	scope    cachedv1.PreparationScope
	since    time.Time
	blocks   []prefetch.Block // what the keepSet has of it

	state   cachedv1.PinState
	now     tally // without what is lacking
	problem string
}

func (p *pin) proto() *cachedv1.Pin {
	return &cachedv1.Pin{
		Image: p.image, ManifestId: p.manifest, Scope: p.scope, State: p.state, Problem: p.problem, Since: timestamppb.New(p.since),
		Blocks: uint64(p.now.blocks), BlocksHeld: uint64(p.now.held), Bytes: uint64(p.now.bytes), BytesHeld: uint64(p.now.heldBytes),
	}
}

// A pinner keeps images in L2: it fetches their blocks, and has L2 not evict them. It
// looks at each again every few minutes, and when the image was prepared: its name
// may have moved, its workloads may read something else, a damaged block may have been
// dropped. Pins outlive the daemon.
type pinner struct {
	node    *node
	chooser chooser
	files   pinFiles
	limit   int64 // bytes of all pins
	log     *slog.Logger
	ending  context.Context //nolint:containedctx // of the daemon
	end     context.CancelFunc
	turn    chan struct{} // who changes what is kept, file included, one at a time
	wake    chan struct{}
	work    sync.WaitGroup

	mu    sync.Mutex
	known map[string]*pin
	due   map[string]bool // to be looked at
}

var _ api.Pins = (*pinner)(nil)

func pinDir(cfg Config) string { return filepath.Join(cfg.DataDir, "pins") }

// loadPins has what is pinned since an earlier daemon kept, as far as it fits.
func (n *node) loadPins(cfg Config, log *slog.Logger) {
	n.pinned = pinFiles{prepareDir(pinDir(cfg), log), log}.load()
	slices.SortFunc(n.pinned, func(a, b *pin) int { return a.since.Compare(b.since) })
	for _, p := range n.pinned {
		if bytes, ok := n.kept.swap(nil, p.blocks, int64(cfg.L2.Size)/pinShare); !ok {
			log.Warn("a pin does not fit any more", "image", p.image, "bytes", bytes, "limit", int64(cfg.L2.Size)/pinShare)
			p.blocks = nil
		}
	}
}

func newPinner(n *node, cfg Config, log *slog.Logger) *pinner {
	p := &pinner{
		node: n, chooser: chooser{n}, files: pinFiles{prepareDir(pinDir(cfg), log), log}, log: log,
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), known: map[string]*pin{}, due: map[string]bool{},
	}
	if n.l2 != nil {
		p.limit = n.l2.Capacity() / pinShare
	}
	p.ending, p.end = context.WithCancel(context.Background())
	for _, was := range n.pinned {
		p.known[was.image], p.due[was.image] = was, true
	}
	return p
}

// start begins to look after the pins. In a zone the others must be known by then.
func (p *pinner) start() { p.work.Go(p.run) }

// close ends that.
func (p *pinner) close() {
	p.end()
	p.work.Wait()
}

// look has a pin looked at soon, if the image is pinned.
func (p *pinner) look(image string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[image] == nil {
		return
	}
	p.due[image] = true
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Pin implements [api.Pins].
func (p *pinner) Pin(ctx context.Context, image string, scope cachedv1.PreparationScope) (*cachedv1.Pin, error) {
	scope, err := scopeOf(scope)
	switch {
	case err != nil:
		return nil, err
	case p.node.l2 == nil:
		return nil, fmt.Errorf("%w: this host has no L2 to pin images in (l2.size is 0, or its disk could not be used)", api.ErrInvalid)
	case isID(image):
		return nil, fmt.Errorf("%w: pin an image by its name, which the pin follows, not by a manifest's id", api.ErrInvalid)
	}
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.turn }()
	next := &pin{image: image, scope: scope, since: time.Now(), state: cachedv1.PinState_PIN_STATE_PINNING}
	p.mu.Lock()
	was := p.known[image]
	if was != nil {
		next.scope, next.since = max(scope, was.scope), was.since
	}
	full := was == nil && len(p.known) >= maxPins
	p.mu.Unlock()
	if full {
		return nil, fmt.Errorf("%d images are pinned, which is the most: %w", maxPins, block.ErrOverloaded)
	}
	if err := p.choose(ctx, next); err != nil {
		return nil, err
	}
	begun := next.proto() // it is others' to change once it is known
	if err := p.change(was, next); err != nil {
		return nil, err
	}
	p.look(image)
	return begun, nil
}

// choose finds out what next must keep.
func (p *pinner) choose(ctx context.Context, next *pin) error {
	e, err := p.node.catalog.Open(ctx, next.image)
	if err != nil {
		return err
	}
	next.manifest = e.Ref.Manifest.String()
	if next.blocks, err = p.chooser.wanted(ctx, e.Ref.Manifest, next.scope); err != nil {
		return err
	}
	next.now = count(next.blocks, p.node.l2.Has)
	next.now.lacking = nil
	return nil
}

// change has next kept instead of what was is. Who calls it has the turn. When it
// fails all is as before.
func (p *pinner) change(was, next *pin) error {
	var had []prefetch.Block
	if was != nil {
		had = was.blocks
	}
	if bytes, ok := p.node.kept.swap(had, next.blocks, p.limit); !ok {
		return fmt.Errorf("%w: %s takes %s: with the other pins that is %s, and pins may take %s, half of L2: unpin something, pin less of it, or make l2.size larger",
			api.ErrInvalid, next.image, bytesText(next.now.bytes), bytesText(bytes), bytesText(p.limit))
	}
	if err := p.files.save(next); err != nil {
		_, _ = p.node.kept.swap(next.blocks, had, p.limit) // what fitted fits
		return err
	}
	p.mu.Lock()
	p.known[next.image] = next
	p.mu.Unlock()
	return nil
}

// Unpin implements [api.Pins].
func (p *pinner) Unpin(ctx context.Context, image string) (*cachedv1.Pin, error) {
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.turn }()
	p.mu.Lock()
	was := p.known[image]
	delete(p.known, image)
	var gone *cachedv1.Pin
	if was != nil {
		gone = was.proto()
	}
	p.mu.Unlock()
	if gone == nil {
		return nil, fmt.Errorf("%w: %q is not pinned on this host", api.ErrNotFound, image)
	}
	_, _ = p.node.kept.swap(was.blocks, nil, p.limit) // less always fits
	p.files.remove(image)
	return gone, nil
}

// take waits for the turn.
func (p *pinner) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ending.Done():
		return fmt.Errorf("the daemon ends: %w", block.ErrUnavailable)
	}
}

// List implements [api.Pins].
func (p *pinner) List() []*cachedv1.Pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*cachedv1.Pin, 0, len(p.known))
	for _, e := range p.known {
		all = append(all, e.proto())
	}
	slices.SortFunc(all, func(a, b *cachedv1.Pin) int { return cmp.Compare(a.GetImage(), b.GetImage()) })
	return all
}

// blocks returns what is kept, by image.
func (p *pinner) blocks() map[string][]prefetch.Block {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string][]prefetch.Block, len(p.known))
	for image, e := range p.known {
		all[image] = e.blocks
	}
	return all
}

// totals shows the pins to the collector.
func (p *pinner) totals() account.Pins {
	blocks, bytes := p.node.kept.size()
	t := account.Pins{Kept: account.Count{Blocks: int64(blocks), Bytes: bytes}, Limit: p.limit}
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Images = int64(len(p.known))
	for _, e := range p.known {
		if e.state == cachedv1.PinState_PIN_STATE_INCOMPLETE {
			t.Incomplete++
		}
	}
	return t
}

// proto shows the same in the ledger.
func (p *pinner) proto() *cachedv1.PinnedLedger {
	t := p.totals()
	return &cachedv1.PinnedLedger{Images: uint64(t.Images), Kept: countProto(t.Kept), LimitBytes: uint64(t.Limit)}
}
