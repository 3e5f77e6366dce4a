package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/zonecache/cached/image"
)

// A registrySource is an image in a registry.
type registrySource struct {
	ref name.Reference
	set settings
}

// Open implements [image.Source].
func (s registrySource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	b := &registryBlobs{repo: s.ref.Context(), opts: []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(s.set.Keychain),
		remote.WithTransport(tlsOnly{base, s.set.PlainHTTP}),
		remote.WithUserAgent("cached"),
	}}
	report(image.Progress{Stage: image.StageRead, Detail: s.ref.Name(), Total: -1})
	d, err := remote.Get(s.ref, b.opts...)
	if err != nil {
		return nil, explain(s.ref, err)
	}
	b.root = d
	c, err := openImage(ctx, b, d.Descriptor, s.set, report)
	if err != nil {
		return nil, explain(s.ref, err)
	}
	return c, nil
}

// explain says what can be done about the errors that users meet most.
func explain(ref name.Reference, err error) error {
	var te *transport.Error
	if errors.As(err, &te) {
		switch te.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("%s: the registry refuses access; log in with docker login or check the name: %w", ref, err)
		case http.StatusNotFound:
			return fmt.Errorf("%s: no such image or tag: %w", ref, err)
		}
	}
	return fmt.Errorf("%s: %w", ref, err)
}

// registryBlobs is one repository.
type registryBlobs struct {
	repo name.Repository
	root *remote.Descriptor
	opts []remote.Option
}

func (r *registryBlobs) manifest(_ context.Context, d v1.Descriptor) ([]byte, error) {
	if d.Digest == r.root.Digest {
		return r.root.Manifest, nil
	}
	got, err := remote.Get(r.repo.Digest(d.Digest.String()), r.opts...)
	if err != nil {
		return nil, err
	}
	return got.Manifest, nil
}

func (r *registryBlobs) blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	l, err := remote.Layer(r.repo.Digest(d.Digest.String()), r.opts...)
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

// tlsOnly refuses requests in the clear, credentials and all, unless they stay on
// this machine or the user has allowed them.
type tlsOnly struct {
	next  http.RoundTripper
	plain bool
}

// RoundTrip implements [http.RoundTripper].
func (t tlsOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !t.plain && !loopback(req.URL) {
		return nil, fmt.Errorf("registry %s offers no TLS; allow plain HTTP explicitly to use it", req.URL.Host)
	}
	return t.next.RoundTrip(req)
}

func loopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}
