package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/zonecache/cached/block"
)

// An Index is where names and manifests are kept. Errors are those of package
// block.
type Index interface {
	Ref(ctx context.Context, name string) (Ref, error)
	Refs(ctx context.Context) ([]Ref, error)
	Manifest(ctx context.Context, id block.ID) ([]byte, error)
}

// A Ref is a name that points at a manifest.
type Ref struct {
	Name     string
	Manifest block.ID
	Updated  time.Time // by the index's clock
}

// Defaults of [CatalogOptions].
const (
	DefaultManifestCache = 64 << 20
	DefaultRefTTL        = 2 * time.Second
	rememberedNames      = 4096
)

// CatalogOptions configure [NewCatalog]. The zero value is ready for use.
type CatalogOptions struct {
	// Manifests is about how many bytes of manifests are kept; 0 means
	// DefaultManifestCache.
	Manifests int64
	// RefTTL is how long a name is believed, and how long one that does not exist
	// is not asked for again; 0 means DefaultRefTTL, negative not at all.
	RefTTL time.Duration
}

// A Catalog resolves names and ids to manifests. It remembers manifests, which
// never change, within a budget; names for a short time; and what each name last
// pointed at, for when the index does not answer. All methods may be called
// concurrently.
type Catalog struct {
	index     Index
	opts      CatalogOptions
	manifests *manifestCache
	reads     singleflight.Group // of manifests
	names     *lru.Cache[string, lookup]
}

// A lookup is what the index last said about a name: a ref, or that there is none.
type lookup struct {
	ref     Ref
	missing error // matches block.ErrNotFound
	at      time.Time
}

// An Entry is a resolved image.
type Entry struct {
	Ref      Ref // the Name is empty when the image was asked for by id
	Manifest *Manifest
	// Stale: the index did not answer and Ref is what it said last.
	Stale bool
}

// NewCatalog returns a Catalog of what index holds.
func NewCatalog(index Index, opts CatalogOptions) (*Catalog, error) {
	if opts.Manifests <= 0 {
		opts.Manifests = DefaultManifestCache
	}
	if opts.RefTTL == 0 {
		opts.RefTTL = DefaultRefTTL
	}
	manifests, err := newManifestCache(opts.Manifests)
	if err != nil {
		return nil, fmt.Errorf("image: catalog: %w", err)
	}
	names, err := lru.New[string, lookup](rememberedNames)
	if err != nil {
		return nil, fmt.Errorf("image: catalog: %w", err)
	}
	return &Catalog{index: index, opts: opts, manifests: manifests, names: names}, nil
}

// Open returns the image that nameOrID names: a ref, or the text form of a
// manifest's id. ErrNotFound: there is no such image. ErrCorrupt: the index's
// bytes are not the manifest. ErrUnavailable: the index does not answer and
// nothing is remembered.
func (c *Catalog) Open(ctx context.Context, nameOrID string) (Entry, error) {
	var e Entry
	var err error
	if strings.HasPrefix(nameOrID, block.IDPrefix) {
		e.Ref.Manifest, err = block.ParseID(nameOrID)
	} else {
		e.Ref, e.Stale, err = c.resolve(ctx, nameOrID)
	}
	if err != nil {
		return Entry{}, err
	}
	if e.Manifest, err = c.manifest(ctx, e.Ref.Manifest); err != nil {
		return Entry{}, fmt.Errorf("image %s: %w", nameOrID, err)
	}
	return e, nil
}

// resolve returns what name points at, and whether that is only what the index
// said before it stopped answering.
func (c *Catalog) resolve(ctx context.Context, name string) (ref Ref, stale bool, err error) {
	if err := block.CheckName(name); err != nil {
		return Ref{}, false, err
	}
	known, ok := c.names.Get(name)
	if ok && time.Since(known.at) < c.opts.RefTTL {
		return known.ref, false, known.missing
	}
	ref, err = c.index.Ref(ctx, name)
	switch {
	case err == nil:
		c.names.Add(name, lookup{ref: ref, at: time.Now()})
		return ref, false, nil
	case errors.Is(err, block.ErrNotFound):
		err = fmt.Errorf("image %q: %w", name, err)
		c.names.Add(name, lookup{missing: err, at: time.Now()})
		return Ref{}, false, err
	case unreachable(err) && ok && known.missing == nil:
		return known.ref, true, nil
	}
	return Ref{}, false, fmt.Errorf("image %q: %w", name, err)
}

func (c *Catalog) manifest(ctx context.Context, id block.ID) (*Manifest, error) {
	if m, ok := c.manifests.get(id); ok {
		return m, nil
	}
	// One read and one decoding for all who want it now: a manifest can have tens
	// of megabytes. It goes on when the one who began it leaves; the index bounds
	// its time.
	shared := c.reads.DoChan(string(id[:]), func() (any, error) {
		if m, ok := c.manifests.get(id); ok {
			return m, nil
		}
		p, err := c.index.Manifest(context.WithoutCancel(ctx), id)
		if err != nil {
			return nil, err
		}
		m, err := DecodeVerified(id, p)
		if err != nil {
			return nil, err
		}
		c.manifests.add(id, m, int64(len(p)))
		return m, nil
	})
	select {
	case r := <-shared:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Manifest), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// List returns the refs that the index holds now.
func (c *Catalog) List(ctx context.Context) ([]Ref, error) {
	refs, err := c.index.Refs(ctx)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	return refs, nil
}

// Forget makes the next Open of name ask the index, for one who has just changed
// the ref.
func (c *Catalog) Forget(name string) { c.names.Remove(name) }

// unreachable reports whether err says nothing about what the index holds.
func unreachable(err error) bool {
	return errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrOverloaded)
}
