package api

import (
	"context"

	"github.com/zonecache/cached/api/cachedv1"
)

// PurgeImage implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) PurgeImage(ctx context.Context, req *cachedv1.PurgeImageRequest) (*cachedv1.PurgeImageResponse, error) {
	if s.purger == nil {
		return nil, toConnect(invalid("this daemon purges no images"))
	}
	image, err := s.get(ctx, req.GetImage())
	if err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, one := range s.sessions.Values() {
		open[one.manifestID] = true
	}
	manifests := make([]string, 0, len(open))
	for id := range open {
		manifests = append(manifests, id)
	}
	resp, err := s.purger.Purge(forTenant(ctx), req, image.GetManifestId(), manifests)
	if err != nil {
		return nil, s.fail(err)
	}
	if _, known := callerFrom(ctx); known {
		for _, k := range resp.GetKept() {
			if _, err := s.get(ctx, k.GetImage()); err != nil {
				k.Image = othersImage
			}
		}
	}
	return resp, nil
}

// othersImage stands for an image whose name the caller may not see.
const othersImage = "another tenant's image"

// PurgeImage drops an image's blocks from the daemon's caches. With force it does so
// though the image is pinned or open.
func (c *Client) PurgeImage(ctx context.Context, req *cachedv1.PurgeImageRequest) (*cachedv1.PurgeImageResponse, error) {
	resp, err := c.images.PurgeImage(ctx, req)
	return resp, c.explain(ctx, "purge "+req.GetImage(), err)
}
