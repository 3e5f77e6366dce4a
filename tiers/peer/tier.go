package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/sparse"
	"github.com/zonecache/cached/tiers/peer/hot"
)

// Defaults of [Options].
const (
	DefaultBudget   = 5 * time.Second
	DefaultSilence  = time.Second
	DefaultPerDepth = 250 * time.Millisecond
	DefaultHotAfter = hot.DefaultAfter
)

// A Distribution is a way in which a block spreads through the zone.
type Distribution uint8

// The distributions.
const (
	ByRedirect Distribution = iota // the owner sends its readers to each other
	ByTree                         // each image has a Function Tree along which its blocks flow
)

// Options configure a [Tier]. Node, Ring, Transport and Held are required.
type Options struct {
	Node      string                 // this node's name in the ring
	Ring      func() *placement.Ring // the members as known now; never nil
	Transport Transport              // the way to the others
	Held      block.Reader           // what this node has, L1 then L2; never reads further
	Local     block.Reader           // how this node reads a block it owns; SetLocal sets it later
	Pool      *block.Pool            // where blocks arrive; nil means block.DefaultPool

	// Budget is how long one read may take among peers; a read whose deadline is
	// near gets half of what is left. 0 means DefaultBudget.
	Budget time.Duration
	// Silence is how long a source may say nothing before it is given up, PerDepth
	// what is added to it for each node that passes the bytes on. 0 means
	// DefaultSilence and DefaultPerDepth.
	Silence, PerDepth time.Duration
	// Limits of the desk; zero fields mean placement.DefaultLimits.
	Limits placement.Limits
	// HotAfter is how many nodes ask for a block within a minute before it is worth
	// a replica, and read it here before it is worth their disks; half of the other
	// nodes of a zone, at least two, are enough. 0 means DefaultHotAfter.
	HotAfter int

	// Alive asks a node by another way than the connections of reads whether it lives,
	// within less than Silence; nil: nobody can be asked, which counts as no.
	Alive func(node string) bool
	// Suspect is told who did not answer, so that the zone can find out; nil: nobody is told.
	Suspect      func(node, reason string)
	Distribution Distribution
	Registrar    Registrar    // the way to the registrars of trees; required for ByTree
	Logger       *slog.Logger // nil means discard
}

func (o Options) withDefaults() (Options, error) {
	if o.Node == "" || o.Ring == nil || o.Transport == nil || o.Held == nil {
		return o, errors.New("peer: Node, Ring, Transport and Held are required")
	}
	if o.Distribution == ByTree && o.Registrar == nil {
		return o, errors.New("peer: Registrar is required where distribution is by trees")
	}
	if o.Budget < 0 || o.Silence < 0 || o.PerDepth < 0 || o.HotAfter < 0 {
		return o, errors.New("peer: negative option")
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&o.Budget, DefaultBudget}, {&o.Silence, DefaultSilence}, {&o.PerDepth, DefaultPerDepth}} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	if o.HotAfter == 0 {
		o.HotAfter = DefaultHotAfter
	}
	if o.Pool == nil {
		o.Pool = block.DefaultPool
	}
	if o.Alive == nil {
		o.Alive = func(string) bool { return false }
	}
	if o.Suspect == nil {
		o.Suspect = func(string, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// A Tier reads blocks from the other nodes of the zone and answers theirs.
type Tier struct {
	opts  Options
	local atomic.Pointer[block.Reader]
	pull  atomic.Pointer[block.Reader]

	// bring brings a block into a reception whose context is ctx, by the way of
	// distribution of the options: it asks others by fetch and finishes the
	// reception's arrival.
	bring func(ctx context.Context, r *reception) error
	// climb answers an ask of the kind placement.Climb.
	climb func(ctx context.Context, a *asked) (Answer, error)

	trees    *trees // nil where distribution is by redirect
	arrivals arrivals
	counter  counter // the desk, and who waits at it
	places   places  // on the wire
	peers    peers
	hedges   hedges
	heat     hot.Heat
	hot      hot.Recent // blocks that others called hot
	vain     hot.Recent // blocks the others were asked for in vain
	rate     rate
	pulls    chan struct{} // of replicas, under way
	stats    stats
	says     sparse.Gate
	origin   originTimes

	ending context.Context //nolint:containedctx // ends with the tier; what the tier does on its own behalf hangs on it
	end    context.CancelFunc
	mu     sync.Mutex // guards closed and the start of own work
	closed bool
	own    sync.WaitGroup // goroutines
}

var _ block.Reader = (*Tier)(nil)

// New returns a tier. It must be closed.
func New(o Options) (*Tier, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Tier{opts: o}
	t.ending, t.end = context.WithCancel(context.Background())
	t.arrivals.open, t.arrivals.aside = map[block.ID]*reception{}, map[block.ID]*reception{}
	t.counter = counter{desk: placement.NewDesk(o.Limits), calls: map[call]chan struct{}{}}
	t.places.resize(t.onTheWire(0))
	t.pulls = make(chan struct{}, maxPulls)
	t.peers.known = map[string]*neighbour{}
	t.hot.Keep, t.vain.Keep = hot.For, vainFor
	t.bring = t.walk
	t.climb = func(_ context.Context, a *asked) (Answer, error) { return a.gone(), nil }
	t.hedges.after, t.hedges.share = hedgeAfter, hedgeShare
	if o.Local != nil {
		t.SetLocal(o.Local)
	}
	if o.Distribution == ByTree {
		t.grow(o.Registrar)
	}
	return t, nil
}

// Owns reports whether no other node of the ring answers for the block: this one
// owns it, or nobody does. ReadBlock is ErrNotFound then.
func (t *Tier) Owns(id block.ID) bool {
	owner, ok := t.opts.Ring().Owner(id)
	return !ok || owner.Name == t.opts.Node
}

// SetLocal sets how this node reads a block it owns: its caches, Heirs, then the
// origin, in one flight. It never asks this tier. Asks that come before are
// answered from Held alone.
func (t *Tier) SetLocal(local block.Reader) { t.local.Store(&local) }

// SetPull sets the chain through which this node reads a block it is to hold a
// replica of; usually that of its own programs, which fills L1 and, where
// [Admission] says so, L2. Without it offers of replicas are declined.
func (t *Tier) SetPull(chain block.Reader) { t.pull.Store(&chain) }

// Close ends everything under way and waits for it. Reads fail with
// block.ErrUnavailable from then on.
func (t *Tier) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.end()
	t.own.Wait()
	t.arrivals.drop()
	return nil
}

// begin runs f in a goroutine that Close waits for; false once the tier is closed.
func (t *Tier) begin(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.own.Go(f)
	return true
}

var errClosed = fmt.Errorf("peer: the tier is closed: %w", block.ErrUnavailable)
