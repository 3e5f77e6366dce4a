package prefetch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// PacksOptions configure Packs.
type PacksOptions struct {
	// Reader reads parts: from the zone and the origin, and keeps none of them.
	Reader block.Reader
	// Held reports whether a block is in this host's caches; what is not fetched twice.
	Held func(block.ID) bool
	// Keep is how many parts are in memory at a time; default 64, which are 32 MiB.
	// Ahead is how many are asked for behind the one that is wanted; default 7.
	Keep, Ahead int
	// Timeout is how long one part may take; default a minute.
	Timeout time.Duration
	Pool    *block.Pool  // of the blocks; nil means block.DefaultPool
	Logger  *slog.Logger // nil discards
}

// Packs are the packs of starts under way. They are a medium below the host's
// caches: who reads ahead finds a block in the part that holds it, which is read
// once; who waits for a block finds it there if that part is on its way, and is
// not kept waiting for a part that is not.
type Packs struct {
	opts   PacksOptions
	ending context.Context //nolint:containedctx // of the loads, which nobody calls
	end    context.CancelFunc

	mu     sync.Mutex
	where  map[block.ID]place // of blocks in open packs
	parts  map[block.ID]int   // of open packs: how often they are open
	kept   []*part            // that are here or on their way, the oldest first
	wasted Count
	loads  sync.WaitGroup
}

// A place is where a block lies.
type place struct {
	part        *part
	from, bytes int
}

// A part is one that some open pack has. packs.mu guards it.
type part struct {
	id      block.ID
	members []block.ID
	bytes   int
	next    *part // of the same pack
	opens   int
	dropped bool
	loading chan struct{}  // nil: not asked for; closed once it is here, or is not to be had
	urgency *block.Urgency // of its load
	cancel  context.CancelFunc
	b       block.Block           // zero: not here
	taken   map[block.ID]struct{} // of members: what was cut out
}

// NewPacks returns a medium without packs.
func NewPacks(o PacksOptions) *Packs {
	if o.Keep <= 0 {
		o.Keep = 64
	}
	if o.Ahead <= 0 {
		o.Ahead = 7
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Pool == nil {
		o.Pool = block.DefaultPool
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Packs{opts: o, where: map[block.ID]place{}, parts: map[block.ID]int{}}
	p.ending, p.end = context.WithCancel(context.Background())
	return p
}

// Open has blocks read from a pack until the returned function is called. blocks
// are the image's.
//
// No block is a part and in a part at once, whoever made the pack: reading it would
// wait for itself.
func (p *Packs) Open(pack *Pack, blocks []Block) (shut func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, desc := range pack.Parts {
		p.parts[desc.ID]++
	}
	var opened []*part
	for _, desc := range pack.Parts {
		if _, member := p.where[desc.ID]; member {
			continue
		}
		pt := p.openLocked(desc, blocks)
		if n := len(opened); n > 0 && opened[n-1].next == nil && opened[n-1] != pt {
			opened[n-1].next = pt
		}
		opened = append(opened, pt)
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, desc := range pack.Parts {
				if p.parts[desc.ID]--; p.parts[desc.ID] == 0 {
					delete(p.parts, desc.ID)
				}
			}
			for _, pt := range opened {
				p.shutLocked(pt)
			}
		})
	}
}

// openLocked notes where the blocks of a part lie. A part that is open already, for
// another start, is the same.
func (p *Packs) openLocked(desc Part, blocks []Block) *part {
	pt := &part{id: desc.ID, taken: map[block.ID]struct{}{}}
	for _, i := range desc.Blocks {
		if int(i) < len(blocks) && p.where[blocks[i].ID].part != nil && p.where[blocks[i].ID].part.id == desc.ID {
			pt = p.where[blocks[i].ID].part
			break
		}
	}
	from := 0
	for _, i := range desc.Blocks {
		if int(i) >= len(blocks) {
			break // of another image: what comes behind cannot be found
		}
		b := blocks[i]
		if _, known := p.where[b.ID]; !known && p.parts[b.ID] == 0 {
			p.where[b.ID] = place{pt, from, b.Length}
			pt.members = append(pt.members, b.ID)
		}
		from += b.Length
	}
	pt.bytes = from
	pt.opens++
	return pt
}

func (p *Packs) shutLocked(pt *part) {
	if pt.opens--; pt.opens > 0 {
		return
	}
	if pt.cancel != nil {
		pt.cancel()
	}
	p.emptyLocked(pt)
	for _, id := range pt.members {
		delete(p.where, id)
	}
	for i, other := range p.kept {
		if other == pt {
			p.kept = append(p.kept[:i], p.kept[i+1:]...)
			break
		}
	}
}

// emptyLocked lets go of a part's bytes. What nobody has cut out was read in vain.
func (p *Packs) emptyLocked(pt *part) {
	if pt.b.IsZero() {
		return
	}
	for _, id := range pt.members {
		if _, ok := pt.taken[id]; !ok {
			p.wasted.add(p.where[id].bytes)
		}
	}
	pt.b.Release()
	pt.b = block.Block{}
}

// Wasted is what came with parts and was never cut out of them.
func (p *Packs) Wasted() Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wasted
}

var errNotPacked = fmt.Errorf("prefetch: in no pack that is here: %w", block.ErrNotFound)

// ReadBlock implements [block.Reader]. It is block.ErrNotFound for what no open pack
// has, for what has to be had faster, and for what a pack should have and has not.
func (p *Packs) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	p.mu.Lock()
	at, ok := p.where[id]
	if !ok {
		p.mu.Unlock()
		return block.Block{}, errNotPacked
	}
	p.mu.Unlock()
	call := block.CallFrom(ctx)
	if call.Cause == block.Prefetch {
		p.load(ctx, at.part)
	}
	p.mu.Lock()
	loading, urgency := at.part.loading, at.part.urgency
	p.mu.Unlock()
	if loading == nil {
		return block.Block{}, errNotPacked
	}
	// Whoever waits for any block of the part waits for the part, and for no other.
	if call.Cause == block.Demand {
		urgency.Raise()
	} else {
		call.Urgency.Raises(urgency)
	}
	select {
	case <-loading:
	case <-ctx.Done():
		return block.Block{}, ctx.Err()
	}
	return p.take(at, id)
}

// Parts returns what reads the parts that are here: others of the zone may have them.
func (p *Packs) Parts() block.Reader {
	return block.ReaderFunc(func(_ context.Context, id block.ID) (block.Block, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, pt := range p.kept {
			if pt.id == id && !pt.b.IsZero() {
				return pt.b.Retain(), nil
			}
		}
		return block.Block{}, errNotPacked
	})
}

// load has a part read, and those behind it, if that is worth it.
func (p *Packs) load(ctx context.Context, first *part) {
	for pt, n := first, 0; pt != nil && n <= p.opts.Ahead; n++ {
		p.mu.Lock()
		asked := pt.loading != nil
		p.mu.Unlock()
		worth := !asked && p.worth(pt) // which looks at other tiers
		p.mu.Lock()
		if worth && pt.loading == nil && pt.opens > 0 {
			p.loadLocked(ctx, pt)
		}
		pt = pt.next
		p.mu.Unlock()
	}
}

// worth reports whether most of a part is not here: else its blocks are read one
// by one.
func (p *Packs) worth(pt *part) bool {
	if p.opts.Held == nil {
		return true
	}
	p.mu.Lock()
	members := slices.Clone(pt.members)
	p.mu.Unlock()
	missing := 0
	for _, id := range members {
		if !p.opts.Held(id) {
			missing++
		}
	}
	return 2*missing > len(members)
}

// loadLocked has a part read on behalf of all who want it.
func (p *Packs) loadLocked(ctx context.Context, pt *part) {
	done := make(chan struct{})
	pt.loading = done
	p.kept = append(p.kept, pt)
	for len(p.kept) > p.opts.Keep {
		p.dropLocked()
	}
	call := block.CallFrom(ctx)
	pt.urgency = new(block.Urgency)
	call.Cause, call.Urgency, call.Bytes = block.Prefetch, pt.urgency, pt.bytes
	ctx, pt.cancel = context.WithTimeout(block.WithCall(context.WithoutCancel(ctx), call), p.opts.Timeout)
	cancel := pt.cancel
	p.loads.Go(func() {
		defer cancel()
		defer context.AfterFunc(p.ending, cancel)()
		b, err := p.opts.Reader.ReadBlock(ctx, pt.id)
		p.mu.Lock()
		defer p.mu.Unlock()
		defer close(done)
		if err != nil {
			if pt.opens == 0 || p.ending.Err() != nil { // nobody wants it any more
				return
			}
			p.opts.Logger.Warn("a part of a pack cannot be read, its blocks are read one by one", "part", pt.id.Short(), "error", err)
			return
		}
		pt.b = b
		if pt.opens == 0 || pt.dropped {
			p.emptyLocked(pt)
		}
	})
}

// dropLocked drops the oldest part that is kept. Its blocks are read one by one
// then, if they have not been.
func (p *Packs) dropLocked() {
	oldest := p.kept[0]
	p.kept = p.kept[1:]
	oldest.dropped = true
	p.emptyLocked(oldest)
}

// take returns a copy of a block out of its part, verified.
func (p *Packs) take(at place, id block.ID) (block.Block, error) {
	p.mu.Lock()
	b := at.part.b
	if b.IsZero() || at.from+at.bytes > b.Len() {
		p.mu.Unlock()
		return block.Block{}, errNotPacked
	}
	b = b.Retain()
	at.part.taken[id] = struct{}{}
	p.mu.Unlock()
	defer b.Release()
	bytes := b.Bytes()[at.from:][:at.bytes]
	if block.Sum(bytes) != id {
		p.opts.Logger.Warn("a pack does not hold what it says", "part", at.part.id.Short(), "block", id.Short())
		return block.Block{}, errNotPacked
	}
	buf := p.opts.Pool.Get(len(bytes))
	copy(buf.Bytes(), bytes)
	return buf.Seal(id, b.From), nil
}

// Close ends what is on its way, and drops everything. Nobody may be reading.
func (p *Packs) Close() error {
	p.end()
	p.loads.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.kept) > 0 {
		p.dropLocked()
	}
	return nil
}
