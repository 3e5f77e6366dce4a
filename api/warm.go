package api

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
)

// AllNodes means the whole zone, as the only one of a WarmImageRequest's nodes.
const AllNodes = "all"

// WarmImage implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) WarmImage(ctx context.Context, req *cachedv1.WarmImageRequest, out *connect.ServerStream[cachedv1.WarmImageResponse]) error {
	if s.warmer == nil {
		return toConnect(invalid("this daemon warms no images"))
	}
	for _, node := range req.GetNodes() {
		if err := checkField("node", node); err != nil {
			return toConnect(err)
		}
	}
	image, err := s.get(ctx, req.GetImage())
	if err != nil {
		return err
	}
	err = s.warmer.Warm(forTenant(ctx), req, image.GetManifestId(), func(n *cachedv1.NodeWarmth) error {
		return out.Send(&cachedv1.WarmImageResponse{Node: n})
	})
	if err != nil && ctx.Err() == nil {
		return s.fail(err)
	}
	return err
}

// WarmImage has an image's blocks brought onto nodes, or counted there, and calls
// tell with how each node is doing, and whenever that changes, until all have ended
// or ctx ends.
func (c *Client) WarmImage(ctx context.Context, req *cachedv1.WarmImageRequest, tell func(*cachedv1.NodeWarmth)) error {
	stream, err := c.images.WarmImage(ctx, req)
	if err == nil {
		for stream.Receive() {
			tell(stream.Msg().GetNode())
		}
		err = stream.Err()
		_ = stream.Close()
	}
	return c.explain(ctx, "warm "+req.GetImage(), err)
}

// WaitForImage returns when the daemon sees the name point at the manifest, which it
// was just moved to: what a name points at is believed for a moment.
func (c *Client) WaitForImage(ctx context.Context, image, manifest string) error {
	for {
		resp, err := c.GetImage(ctx, image)
		switch {
		case err == nil && resp.GetManifestId() == manifest:
			return nil
		case err == nil:
			err = notFound("%s is %.20s... there, not %.20s...: does that daemon have the same origin?", image, resp.GetManifestId(), manifest)
		case kindOf(err).code != connect.CodeNotFound:
			return err
		}
		timer := time.NewTimer(imagePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// imagePause is how long WaitForImage waits before it asks again.
const imagePause = 250 * time.Millisecond
