package api

import (
	"context"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
)

// PinImage implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) PinImage(ctx context.Context, req *cachedv1.PinImageRequest) (*cachedv1.PinImageResponse, error) {
	if err := s.mayPin(req.GetImage()); err != nil {
		return nil, err
	}
	if _, err := s.get(ctx, req.GetImage()); err != nil {
		return nil, err
	}
	p, err := s.pins.Pin(forTenant(ctx), req.GetImage(), req.GetScope())
	if err != nil {
		return nil, s.fail(err)
	}
	return &cachedv1.PinImageResponse{Pin: p}, nil
}

// UnpinImage implements [cachedv1connect.ImageServiceHandler]. An image need not be
// there any more; its name must be one the caller may see.
func (s *imageService) UnpinImage(ctx context.Context, req *cachedv1.UnpinImageRequest) (*cachedv1.UnpinImageResponse, error) {
	if err := s.mayPin(req.GetImage()); err != nil {
		return nil, err
	}
	if _, known := callerFrom(ctx); known {
		if _, err := s.get(ctx, req.GetImage()); err != nil && connect.CodeOf(err) != connect.CodeNotFound {
			return nil, err
		}
	}
	p, err := s.pins.Unpin(forTenant(ctx), req.GetImage())
	if err != nil {
		return nil, s.fail(err)
	}
	return &cachedv1.UnpinImageResponse{Pin: p}, nil
}

// ListPins implements [cachedv1connect.ImageServiceHandler]. A tenant sees those of
// images it may read.
func (s *imageService) ListPins(ctx context.Context, _ *cachedv1.ListPinsRequest) (*cachedv1.ListPinsResponse, error) {
	resp := &cachedv1.ListPinsResponse{}
	if s.pins == nil {
		return resp, nil
	}
	_, known := callerFrom(ctx)
	for _, p := range s.pins.List() {
		if known {
			if _, err := s.get(ctx, p.GetImage()); err != nil {
				continue
			}
		}
		resp.Pins = append(resp.Pins, p)
	}
	return resp, nil
}

func (s *imageService) mayPin(image string) error {
	if s.pins == nil {
		return toConnect(invalid("this daemon pins no images"))
	}
	if err := checkField("image", image); err != nil {
		return toConnect(err)
	}
	return nil
}

// PinImage begins to keep an image in the daemon's L2.
func (c *Client) PinImage(ctx context.Context, image string, scope cachedv1.PreparationScope) (*cachedv1.Pin, error) {
	resp, err := c.images.PinImage(ctx, &cachedv1.PinImageRequest{Image: image, Scope: scope})
	return resp.GetPin(), c.explain(ctx, "pin "+image, err)
}

// UnpinImage ends what PinImage began.
func (c *Client) UnpinImage(ctx context.Context, image string) (*cachedv1.Pin, error) {
	resp, err := c.images.UnpinImage(ctx, &cachedv1.UnpinImageRequest{Image: image})
	return resp.GetPin(), c.explain(ctx, "unpin "+image, err)
}

// ListPins returns the daemon's pins by the image's name.
func (c *Client) ListPins(ctx context.Context) ([]*cachedv1.Pin, error) {
	resp, err := c.images.ListPins(ctx, &cachedv1.ListPinsRequest{})
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return nil, nil // an older daemon, which has none
	}
	return resp.GetPins(), c.explain(ctx, "list pins", err)
}
