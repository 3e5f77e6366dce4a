package main

import (
	"context"
	"fmt"
	"os"

	"github.com/zonecache/cached/agent"
)

// openImage opens an image for one start, and says when it may not be the latest.
func openImage(ctx context.Context, o agent.Options) (*agent.Image, error) {
	img, err := agent.Open(ctx, o)
	if err == nil && img.Stale() {
		fmt.Fprintf(os.Stderr, "cached: the origin cannot be reached: %s is what it was when this host last saw it\n", img.Name())
	}
	return img, err
}
