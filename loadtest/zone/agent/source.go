package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers"
	"github.com/zonecache/cached/tiers/origin"
)

// A source is who the agent reads from.
type source interface {
	block.Reader
	OpenImage(ctx context.Context, req *cachedv1.OpenImageRequest) (*cachedv1.OpenImageResponse, error)
	Close() error
}

var (
	_ source = (*api.Client)(nil)
	_ source = (*direct)(nil)
)

// openSource returns the daemon, which has answered once, or with an origin that.
func openSource(ctx context.Context, server, originURL string) (source, error) {
	if originURL != "" {
		o, err := origin.Open(ctx, []string{originURL}, origin.Options{})
		if err != nil {
			return nil, err
		}
		return &direct{tiers.Verify(o), o}, o.Check(ctx)
	}
	client, err := api.NewClient(server, api.ClientOptions{})
	if err != nil {
		return nil, err
	}
	_, err = client.Status(ctx)
	return client, err
}

// A direct source is the origin itself.
type direct struct {
	block.Reader
	origin *origin.Origin
}

// OpenImage reads the image's name and manifest as a client without a daemon has to. The
// answer tells the manifest's id only.
func (d *direct) OpenImage(ctx context.Context, req *cachedv1.OpenImageRequest) (*cachedv1.OpenImageResponse, error) {
	ref, err := d.origin.Ref(ctx, req.GetImage())
	if err == nil {
		_, err = d.origin.Manifest(ctx, ref.Manifest)
	}
	return &cachedv1.OpenImageResponse{ManifestId: ref.Manifest.String()}, err
}

// Close ends what the source has open.
func (d *direct) Close() error { return d.origin.Close() }

// readIDs reads a file with a block's id on each line.
func readIDs(name string) ([]block.ID, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var ids []block.ID
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		id, err := block.ParseID(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		ids = append(ids, id)
	}
	return ids, lines.Err()
}
