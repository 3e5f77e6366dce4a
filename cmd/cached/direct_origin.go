package main

import (
	"context"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/tiers/origin"
)

// A directOrigin is an origin in the words of the image room.
type directOrigin struct{ *origin.Origin }

var _ agent.Origin = directOrigin{}

// Ref implements [image.Index].
func (o directOrigin) Ref(ctx context.Context, name string) (image.Ref, error) {
	ref, err := o.Origin.Ref(ctx, name)
	return image.Ref(ref), err
}

// Refs implements [image.Index].
func (o directOrigin) Refs(ctx context.Context) ([]image.Ref, error) {
	refs, err := o.Origin.Refs(ctx)
	list := make([]image.Ref, len(refs))
	for i, r := range refs {
		list[i] = image.Ref(r)
	}
	return list, err
}
