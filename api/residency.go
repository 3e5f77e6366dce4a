package api

import (
	"context"

	"github.com/zonecache/cached/api/cachedv1"
)

// GetResidency implements [cachedv1connect.ImageServiceHandler].
func (s *imageService) GetResidency(ctx context.Context, req *cachedv1.GetResidencyRequest) (*cachedv1.GetResidencyResponse, error) {
	if err := checkImage(req.GetImage()); err != nil {
		return nil, toConnect(err)
	}
	if err := checkField("workload", req.GetWorkload()); err != nil {
		return nil, toConnect(err)
	}
	if s.holders == nil {
		return nil, toConnect(invalid("this daemon does not know who holds what"))
	}
	resp, err := s.holders.GetResidency(forTenant(ctx), req)
	if err != nil {
		return nil, s.fail(err)
	}
	return resp, nil
}

var _ Residency = (*Client)(nil)

// GetResidency implements [Residency].
func (c *Client) GetResidency(ctx context.Context, req *cachedv1.GetResidencyRequest) (*cachedv1.GetResidencyResponse, error) {
	resp, err := c.images.GetResidency(ctx, req)
	return resp, c.explain(ctx, "get the residency of "+req.GetImage(), err)
}
