package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// oneHolder knows who holds one image.
type oneHolder struct {
	resp *cachedv1.GetResidencyResponse
}

func (o oneHolder) GetResidency(_ context.Context, req *cachedv1.GetResidencyRequest) (*cachedv1.GetResidencyResponse, error) {
	if req.GetImage() != "flask:v1" || req.GetWorkload() != "serve" {
		return nil, notFound("image %q does not exist", req.GetImage())
	}
	return o.resp, nil
}

func TestResidency(t *testing.T) {
	services := Services{Blocks: blocktest.NewFake(block.Memory), Images: oneImage{"flask:v1", &cachedv1.GetImageResponse{}}, Admin: books{}}
	none := connectTo(t, serve(t, services, Options{}), ClientOptions{})
	if _, err := none.GetResidency(t.Context(), &cachedv1.GetResidencyRequest{Image: "flask:v1"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("nobody knows: %v", err)
	}
	half := 0.5
	want := &cachedv1.GetResidencyResponse{Blocks: 7, Unknown: 2, Nodes: []*cachedv1.NodeResidency{{Node: "n1", Share: &half}, {Node: "n2"}}}
	services.Residency = oneHolder{want}
	c := connectTo(t, serve(t, services, Options{}), ClientOptions{})
	got, err := c.GetResidency(t.Context(), &cachedv1.GetResidencyRequest{Image: "flask:v1", Workload: "serve"})
	if err != nil || !proto.Equal(got, want) || got.GetNodes()[1].Share != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for _, tt := range []struct {
		image, workload string
		is              error
	}{{"", "", ErrInvalid}, {"a\nb", "", ErrInvalid}, {"flask:v1", "a\x00", ErrInvalid}, {strings.Repeat("x", 300), "", ErrInvalid}, {"other", "serve", ErrNotFound}} {
		if _, err := c.GetResidency(t.Context(), &cachedv1.GetResidencyRequest{Image: tt.image, Workload: tt.workload}); !errors.Is(err, tt.is) {
			t.Errorf("%.20q %q: %v, want %v", tt.image, tt.workload, err, tt.is)
		}
	}
}
