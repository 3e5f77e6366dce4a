package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers/origin"
)

// A catalog is the origin's names and manifests with copies of all it has seen in
// a local folder, so that a daemon that starts without its origin can still open
// the images whose blocks it holds. The folder is an origin itself.
type catalog struct {
	*image.Catalog
	origin directOrigin
	dir    string
	copies *origin.Origin // nil when the folder cannot be used
	log    *slog.Logger
}

const (
	// maxCopies is how many bytes of manifests the folder keeps.
	maxCopies = 256 << 20
	// manifestBudget is how many bytes of encoded manifests are kept in memory.
	manifestBudget = 32 << 20
)

func openCatalog(ctx context.Context, o *origin.Origin, cfg Config, log *slog.Logger) (*catalog, error) {
	dir := filepath.Join(cfg.DataDir, "catalog")
	c := &catalog{origin: directOrigin{o}, dir: dir, log: log}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		log.Warn("names and manifests are not kept across restarts", "error", err)
	} else if c.copies, err = origin.Open(ctx, []string{fileURL(dir)}, origin.Options{Logger: log}); err != nil {
		return nil, err
	}
	var err error
	c.Catalog, err = image.NewCatalog(c, image.CatalogOptions{Manifests: manifestBudget})
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
		c.note(pruneManifests(c.dir, maxCopies))
	}
	return p, err
}

// Ref implements [image.Index].
func (c *catalog) Ref(ctx context.Context, name string) (image.Ref, error) {
	ref, err := c.origin.Ref(ctx, name)
	if err == nil && c.copies != nil {
		if had, hadErr := c.copies.Ref(ctx, name); hadErr != nil || had.Manifest != ref.Manifest {
			c.note(c.copies.PutRef(ctx, name, ref.Manifest))
		}
	}
	return ref, err
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

// blocks returns the blocks of an image in order.
func (c *catalog) blocks(ctx context.Context, manifest block.ID) ([]prefetch.Block, error) {
	e, err := c.Open(ctx, manifest.String())
	if err != nil {
		return nil, err
	}
	blocks := make([]prefetch.Block, len(e.Manifest.Blocks))
	for i, ref := range e.Manifest.Blocks {
		blocks[i] = prefetch.Block{ID: ref.ID, Length: int(ref.Stored)}
	}
	return blocks, nil
}

// seen returns the names this host has seen, and what they last pointed at.
func (c *catalog) seen(ctx context.Context) ([]image.Ref, error) {
	if c.copies == nil {
		return nil, fmt.Errorf("the data-dir takes no copies of names: %w", block.ErrUnavailable)
	}
	copies, err := c.copies.Refs(ctx)
	refs := make([]image.Ref, len(copies))
	for i, r := range copies {
		refs[i] = image.Ref(r)
	}
	return refs, err
}

// Refs implements [image.Index].
func (c *catalog) Refs(ctx context.Context) ([]image.Ref, error) { return c.origin.Refs(ctx) }

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

// pruneManifests removes the oldest copies until at most limit bytes are left.
func pruneManifests(dir string, limit int64) error {
	dir = filepath.Join(dir, "manifests")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	var total int64
	for _, e := range entries {
		if st, err := e.Info(); err == nil { // else it is gone already
			files = append(files, st)
			total += st.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, st := range files {
		if total <= limit {
			return nil
		}
		if err := os.Remove(filepath.Join(dir, st.Name())); err != nil {
			return err
		}
		total -= st.Size()
	}
	return nil
}
