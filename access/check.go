package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/zonecache/cached/block"
)

// Images is where names and manifests are kept. Errors are those of a
// [block.Reader]; names and manifests that do not exist are block.ErrNotFound.
type Images interface {
	// Manifest returns what name points at now.
	Manifest(ctx context.Context, name string) (block.ID, error)
	// Names returns all names and what they point at now.
	Names(ctx context.Context) ([]Pointer, error)
	// Blocks returns the ids of a manifest's blocks, in any order.
	Blocks(ctx context.Context, manifest block.ID) ([]block.ID, error)
}

// A Pointer is an image's name and what it points at.
type Pointer struct {
	Name     string
	Manifest block.ID
}

// Defaults of [Options].
const (
	DefaultBudget = 64 << 20
	DefaultTTL    = 2 * time.Second
	DefaultKeep   = 24 * time.Hour
)

// Options are a Checker's; Policy and Images must be set.
type Options struct {
	Policy  func() *Policy          // the one in force; called for every read
	Images  Images                  // where names and manifests are kept
	Known   []Pointer               // what names pointed at before this process, the oldest first
	Budget  int64                   // bytes of sets of ids; 0: DefaultBudget
	TTL     time.Duration           // how soon a name may be asked for again; 0: DefaultTTL
	Keep    time.Duration           // how long an earlier version stays readable after its last read; 0: DefaultKeep
	Learned func(Pointer)           // told when a name points at something new, to remember it beyond this process; nil: nobody
	Refused func(block.Call, error) // told of every refusal and its reason; nil: nobody
	Now     func() time.Time        // nil: time.Now
}

// A Checker lets through the reads that the policy allows.
type Checker struct {
	next    block.Reader
	options Options
	history *history
	sets    *sets
	asking  singleflight.Group // for names, sets and the list of names
}

var _ block.Reader = (*Checker)(nil)

// Check puts a policy before next.
func Check(next block.Reader, o Options) (*Checker, error) {
	if o.Policy == nil || o.Images == nil {
		return nil, errors.New("access: Policy and Images must be set")
	}
	if o.Budget <= 0 {
		o.Budget = DefaultBudget
	}
	if o.TTL <= 0 {
		o.TTL = DefaultTTL
	}
	if o.Keep <= 0 {
		o.Keep = DefaultKeep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Checker{next: next, options: o}
	var err error
	if c.sets, err = newSets(o.Budget); err == nil {
		c.history, err = newHistory(o.Keep)
	}
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	for _, p := range o.Known {
		c.history.learn(p, o.Now())
	}
	return c, nil
}

// ReadBlock implements [block.Reader]. Beside next's errors there are
// block.ErrUnauthenticated and block.ErrDenied, and block.ErrNotFound for an
// image of a name that the tenant may read, but that does not exist.
func (c *Checker) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	call := block.CallFrom(ctx)
	ok, err := c.allowed(ctx, call, id)
	if err == nil && !ok {
		// One text for all reasons: a wrong image, a block not of it, no such block.
		err = fmt.Errorf("read %s: tenant %q may not read it as a block of image %q: %w", id, call.Tenant, call.Image, block.ErrDenied)
	}
	if err != nil {
		c.refused(call, err)
		return block.Block{}, err
	}
	return c.next.ReadBlock(ctx, id)
}

// Image reports whether the tenant of ctx's call may read the image of this name
// or manifest id. Whether it exists makes no difference to the error, which
// matches block.ErrDenied or block.ErrUnauthenticated; others mean that this
// could not be found out.
func (c *Checker) Image(ctx context.Context, image string) error {
	call := block.CallFrom(ctx)
	call.Image = image
	_, ok, err := c.mayRead(ctx, call)
	if err == nil && !ok {
		err = fmt.Errorf("image %q: tenant %q may not read it: %w", image, call.Tenant, block.ErrDenied)
	}
	if err != nil {
		c.refused(call, err)
	}
	return err
}

// Seen tells the checker what a name points at, when somebody has just found out.
func (c *Checker) Seen(p Pointer) { c.learn(p) }

func (c *Checker) learn(pointers ...Pointer) {
	for _, p := range pointers {
		if c.history.learn(p, c.options.Now()) && c.options.Learned != nil {
			c.options.Learned(p)
		}
	}
}

func (c *Checker) refused(call block.Call, err error) {
	if c.options.Refused != nil && (errors.Is(err, block.ErrDenied) || errors.Is(err, block.ErrUnauthenticated)) {
		c.options.Refused(call, err)
	}
}

// allowed reports whether the call may read the block.
func (c *Checker) allowed(ctx context.Context, call block.Call, id block.ID) (bool, error) {
	manifest, ok, err := c.mayRead(ctx, call)
	if err != nil || !ok {
		return false, err
	}
	if !manifest.IsZero() {
		s, err := c.set(ctx, manifest)
		return err == nil && s.contains(id), err
	}
	n := c.history.name(call.Image)
	if ok, err := c.holds(ctx, n, id); ok || err != nil {
		return ok, err
	}
	// Not in any version known: the name may have moved.
	if n != nil && c.options.Now().Sub(n.asked()) < c.options.TTL {
		return false, nil
	}
	if err := c.resolve(ctx, call.Image); err != nil {
		return false, err
	}
	return c.holds(ctx, c.history.name(call.Image), id)
}

// holds reports whether a version of the name holds the block.
func (c *Checker) holds(ctx context.Context, n *name, id block.ID) (bool, error) {
	if n == nil {
		return false, nil
	}
	now := c.options.Now()
	for i, v := range n.versions() {
		if i > 0 && v.idle(now) > c.options.Keep {
			continue
		}
		s, err := c.set(ctx, v.manifest)
		switch {
		case i > 0 && errors.Is(err, block.ErrNotFound): // an earlier version that is gone holds nothing
		case err != nil:
			return false, err
		case s.contains(id):
			v.touch(now)
			return true, nil
		}
	}
	return false, nil
}

// mayRead reports whether the call's tenant may read the call's image, and the
// manifest when the call names one.
func (c *Checker) mayRead(ctx context.Context, call block.Call) (manifest block.ID, ok bool, err error) {
	switch {
	case call.Tenant == "":
		return manifest, false, fmt.Errorf("nobody said who is reading: %w", block.ErrUnauthenticated)
	case call.Image == "":
		return manifest, false, fmt.Errorf("a read names its image where access is controlled: %w", block.ErrDenied)
	}
	policy := c.options.Policy()
	if !strings.HasPrefix(call.Image, block.IDPrefix) {
		return manifest, policy.MayRead(call.Tenant, call.Image), nil
	}
	if manifest, ok = c.history.pointedAt(call.Image, c.options.Now(), call.Tenant, policy); ok {
		return manifest, true, nil
	}
	if manifest, err = block.ParseID(call.Image); err != nil || manifest.IsZero() {
		return manifest, false, nil //nolint:nilerr // what is no id names nothing
	}
	if err := c.list(ctx, manifest); err != nil {
		return manifest, false, err
	}
	manifest, ok = c.history.pointedAt(call.Image, c.options.Now(), call.Tenant, policy)
	return manifest, ok, nil
}

// resolve asks what the name points at, once for all who want to know. That it
// does not exist is remembered for the TTL: a tenant may make up names under its
// patterns faster than the index answers.
func (c *Checker) resolve(ctx context.Context, image string) error {
	if block.CheckName(image) != nil {
		return nil //nolint:nilerr // a pattern may cover it, but nothing has such a name
	}
	if c.history.isMissing(image, c.options.Now(), c.options.TTL) {
		return fmt.Errorf("image %q did not exist a moment ago: %w", image, block.ErrNotFound)
	}
	return c.once(ctx, "name "+image, func(ctx context.Context) error {
		manifest, err := c.options.Images.Manifest(ctx, image)
		switch {
		case err == nil:
			c.learn(Pointer{image, manifest})
		case errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrUnavailable):
			c.history.miss(image, c.options.Now())
		}
		return err
	})
}

// list finds the names that point at the manifest. It asks for the list of names
// only when the last answer is older than the TTL.
func (c *Checker) list(ctx context.Context, manifest block.ID) error {
	if !c.history.listDue(c.options.Now(), c.options.TTL) {
		c.learn(c.history.listedAs(manifest)...)
		return nil
	}
	return c.once(ctx, "list", func(ctx context.Context) error {
		names, err := c.options.Images.Names(ctx)
		if err == nil {
			c.history.listed(names, c.options.Now())
			c.learn(c.history.listedAs(manifest)...)
		}
		return err
	})
}

// set returns the ids of the manifest's blocks.
func (c *Checker) set(ctx context.Context, manifest block.ID) (*set, error) {
	if s := c.sets.get(manifest); s != nil {
		return s, nil
	}
	return c.makeSet(ctx, manifest)
}

// makeSet stands apart because what its closure holds lives on the heap.
func (c *Checker) makeSet(ctx context.Context, manifest block.ID) (*set, error) {
	err := c.once(ctx, "set "+string(manifest[:]), func(ctx context.Context) error {
		ids, err := c.options.Images.Blocks(ctx, manifest)
		if err == nil {
			c.sets.add(manifest, newSet(ids))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s := c.sets.get(manifest)
	if s == nil { // pushed out at once by others: the budget is far too small
		return nil, fmt.Errorf("image %s: its list of blocks was pushed out of memory at once: %w", manifest.Short(), block.ErrOverloaded)
	}
	return s, nil
}

// once does something for all who want it now. It goes on when the one who began
// it leaves; Images bounds its time.
func (c *Checker) once(ctx context.Context, key string, do func(context.Context) error) error {
	done := c.asking.DoChan(key, func() (any, error) { return nil, do(context.WithoutCancel(ctx)) })
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
