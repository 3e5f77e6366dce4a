package main

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// imageService answers api.Images from the catalogue.
type imageService struct{ catalog *catalog }

var _ api.Images = (*imageService)(nil)

// GetImage implements [api.Images].
func (s *imageService) GetImage(ctx context.Context, nameOrID string) (*cachedv1.GetImageResponse, error) {
	if err := agent.CheckName(nameOrID); err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	e, err := s.catalog.open(ctx, nameOrID)
	if err != nil {
		return nil, err
	}
	return &cachedv1.GetImageResponse{
		ManifestId: e.Ref.Manifest.String(),
		Manifest:   manifestToProto(e.Manifest),
		Stale:      e.Stale,
	}, nil
}

// ListImages implements [api.Images].
func (s *imageService) ListImages(ctx context.Context) ([]*cachedv1.ImageEntry, error) {
	refs, err := s.catalog.List(ctx)
	if err != nil {
		return nil, err
	}
	return listEntries(ctx, s.catalog.Catalog, refs), nil
}

// listEntries describes refs. One that cannot be read is listed with its problem.
func listEntries(ctx context.Context, c *image.Catalog, refs []image.Ref) []*cachedv1.ImageEntry {
	entries := make([]*cachedv1.ImageEntry, len(refs))
	for i, ref := range refs {
		entry := &cachedv1.ImageEntry{Name: ref.Name, ManifestId: ref.Manifest.String(), Updated: timestamppb.New(ref.Updated)}
		if e, err := c.Open(ctx, ref.Manifest.String()); err != nil {
			entry.Problem = err.Error()
		} else {
			entry.MediaType, entry.Size = e.Manifest.MediaType, uint64(e.Manifest.Size)
			entry.Blocks, entry.StoredSize = uint64(len(e.Manifest.Blocks)), uint64(e.Manifest.StoredSize())
		}
		entries[i] = entry
	}
	return entries
}

// isID reports whether text is meant as a manifest's id rather than as a name.
func isID(text string) bool { return strings.HasPrefix(text, block.IDPrefix) }
