package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/tiers/origin"
)

// A catalog is the origin's names and manifests with copies of all it has seen in
// a local folder, so that a daemon that starts without its origin can still open
// the images whose blocks it holds. The folder is an origin itself.
type catalog struct {
	*image.Catalog
	origin *origin.Origin
	copies *origin.Origin // nil when the folder cannot be used
	log    *slog.Logger
}

func openCatalog(ctx context.Context, o *origin.Origin, cfg Config, log *slog.Logger) (*catalog, error) {
	c := &catalog{origin: o, log: log}
	dir := filepath.Join(cfg.DataDir, "catalog")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		log.Warn("names and manifests are not kept across restarts", "error", err)
	} else if c.copies, err = origin.Open(ctx, []string{"file://" + dir}, origin.Options{Logger: log}); err != nil {
		return nil, err
	}
	var err error
	c.Catalog, err = image.NewCatalog(c, image.CatalogOptions{})
	return c, err
}

var _ image.Index = (*catalog)(nil)

// Manifest implements [image.Index]. A manifest never changes, so a copy is as
// good as the origin's.
func (c *catalog) Manifest(ctx context.Context, id block.ID) ([]byte, error) {
	if c.copies != nil {
		if p, err := c.copies.Manifest(ctx, id); err == nil && block.Sum(p) == id {
			return p, nil
		}
	}
	p, err := c.origin.Manifest(ctx, id)
	if err == nil && c.copies != nil && block.Sum(p) == id {
		c.note(c.copies.PutManifest(ctx, id, p))
	}
	return p, err
}

// Ref implements [image.Index].
func (c *catalog) Ref(ctx context.Context, name string) (image.Ref, error) {
	ref, err := c.origin.Ref(ctx, name)
	if err == nil && c.copies != nil {
		c.note(c.copies.PutRef(ctx, name, ref.Manifest))
	}
	return image.Ref(ref), err
}

// open is [image.Catalog.Open], and where that cannot reach the origin, what the
// name pointed at when it was last seen here.
func (c *catalog) open(ctx context.Context, nameOrID string) (image.Entry, error) {
	e, err := c.Open(ctx, nameOrID)
	unreachable := errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrOverloaded)
	if !unreachable || c.copies == nil {
		return e, err
	}
	last, lastErr := c.copies.Ref(ctx, nameOrID)
	if lastErr != nil {
		return e, err
	}
	old, lastErr := c.Open(ctx, last.Manifest.String())
	if lastErr != nil {
		return e, err
	}
	return image.Entry{Ref: image.Ref(last), Manifest: old.Manifest, Stale: true}, nil
}

// Refs implements [image.Index].
func (c *catalog) Refs(ctx context.Context) ([]image.Ref, error) {
	refs, err := c.origin.Refs(ctx)
	list := make([]image.Ref, len(refs))
	for i, r := range refs {
		list[i] = image.Ref(r)
	}
	return list, err
}

func (c *catalog) note(err error) {
	if err != nil {
		c.log.Debug("no local copy kept", "error", err)
	}
}

func (c *catalog) close() error {
	if c.copies == nil {
		return nil
	}
	return c.copies.Close()
}
