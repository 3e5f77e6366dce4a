package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// An openedImage is an image as a daemon serves it.
type openedImage struct {
	*image.Reader
	client  *api.Client
	session string
	name    string
}

// openImage opens an image at the daemon, for one start, and checks its manifest.
func openImage(ctx context.Context, client *api.Client, req *cachedv1.OpenImageRequest) (*openedImage, error) {
	nameOrID := req.GetImage()
	if err := checkImage(nameOrID); err != nil {
		return nil, err
	}
	resp, err := client.OpenImage(ctx, req)
	if err != nil {
		return nil, err
	}
	o := &openedImage{client: client, session: resp.GetSessionId(), name: nameOrID}
	m, err := manifestFromProto(resp.GetManifest(), resp.GetManifestId())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", client.URL(), err), o.Close())
	}
	if resp.GetStale() {
		fmt.Fprintf(os.Stderr, "cached: the origin cannot be reached: %s is what it was when this host last saw it\n", nameOrID)
	}
	if o.Reader, err = image.NewReader(m, client, image.ReaderOptions{}); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// context returns ctx for reads on the image's behalf.
func (o *openedImage) context(ctx context.Context) context.Context {
	return block.WithCall(ctx, block.Call{Image: o.name})
}

// ReadAt implements io.ReaderAt on behalf of the image.
func (o *openedImage) ReadAt(p []byte, off int64) (int, error) {
	return o.ReadAtContext(o.context(context.Background()), p, off)
}

// Close ends the session. The client stays open.
func (o *openedImage) Close() error {
	var err error
	if o.Reader != nil {
		err = o.Reader.Close()
	}
	// A daemon that is gone has forgotten the session.
	_ = o.client.CloseSession(context.Background(), o.session)
	return err
}
