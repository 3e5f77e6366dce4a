package api

import (
	"context"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
)

// PrepareImage implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) PrepareImage(ctx context.Context, req *cachedv1.PrepareImageRequest) (*cachedv1.PrepareImageResponse, error) {
	if err := s.mayPrepare(ctx, req.GetImage()); err != nil {
		return nil, err
	}
	p, err := s.prepare.Prepare(forTenant(ctx), req.GetImage(), req.GetScope())
	if err != nil {
		return nil, s.fail(err)
	}
	return &cachedv1.PrepareImageResponse{Preparation: p}, nil
}

// WatchPreparation implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) WatchPreparation(ctx context.Context, req *cachedv1.WatchPreparationRequest, out *connect.ServerStream[cachedv1.WatchPreparationResponse]) error {
	if err := s.mayPrepare(ctx, req.GetImage()); err != nil {
		return err
	}
	err := s.prepare.Watch(ctx, req.GetImage(), func(p *cachedv1.Preparation) error {
		return out.Send(&cachedv1.WatchPreparationResponse{Preparation: p})
	})
	if err != nil && ctx.Err() == nil {
		return s.fail(err)
	}
	return err
}

// ListPreparations implements [cachedv1connect.ImageServiceHandler]. A tenant sees
// those of images it may read.
func (s *imageService) ListPreparations(ctx context.Context, _ *cachedv1.ListPreparationsRequest) (*cachedv1.ListPreparationsResponse, error) {
	resp := &cachedv1.ListPreparationsResponse{}
	if s.prepare == nil {
		return resp, nil
	}
	_, known := callerFrom(ctx)
	for _, p := range s.prepare.List() {
		if known && s.mayPrepare(ctx, p.GetImage()) != nil {
			continue
		}
		resp.Preparations = append(resp.Preparations, p)
	}
	return resp, nil
}

// mayPrepare wants the image to be there and the caller to be allowed to see it.
func (s *imageService) mayPrepare(ctx context.Context, image string) error {
	if s.prepare == nil {
		return toConnect(invalid("this daemon prepares no images"))
	}
	_, err := s.get(ctx, image)
	return err
}

// PrepareImage begins to prepare an image, or returns the preparation under way.
func (c *Client) PrepareImage(ctx context.Context, image string, scope cachedv1.PreparationScope) (*cachedv1.Preparation, error) {
	resp, err := c.images.PrepareImage(ctx, &cachedv1.PrepareImageRequest{Image: image, Scope: scope})
	return resp.GetPreparation(), c.explain(ctx, "prepare image "+image, err)
}

// WatchPreparation calls tell with the preparation of an image as it is, and
// whenever that changes, until it has ended or ctx ends.
func (c *Client) WatchPreparation(ctx context.Context, image string, tell func(*cachedv1.Preparation)) error {
	stream, err := c.images.WatchPreparation(ctx, &cachedv1.WatchPreparationRequest{Image: image})
	if err == nil {
		for stream.Receive() {
			tell(stream.Msg().GetPreparation())
		}
		err = stream.Err()
		_ = stream.Close()
	}
	return c.explain(ctx, "watch the preparation of "+image, err)
}

// ListPreparations returns the daemon's preparations by the image's name.
func (c *Client) ListPreparations(ctx context.Context) ([]*cachedv1.Preparation, error) {
	resp, err := c.images.ListPreparations(ctx, &cachedv1.ListPreparationsRequest{})
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return nil, nil // an older daemon, which has none
	}
	return resp.GetPreparations(), c.explain(ctx, "list preparations", err)
}
