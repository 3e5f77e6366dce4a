package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// Open opens an image for one start: at the daemon, or, when that stays away, with
// the name and the manifest as the origin has them. What is malformed, does not
// exist or is not allowed is an error at once; that nobody answers is one after the
// deadline at the latest.
func Open(ctx context.Context, o Options) (*Image, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := CheckName(o.Image); err != nil {
		return nil, err
	}
	s := newSource(o)
	img, err := open(ctx, o, s)
	if err != nil {
		s.close()
		return nil, err
	}
	return img, nil
}

// CheckName reports what is wrong with the name or the manifest id of an image.
func CheckName(nameOrID string) error {
	if strings.HasPrefix(nameOrID, block.IDPrefix) {
		_, err := block.ParseID(nameOrID)
		return err
	}
	return block.CheckName(nameOrID)
}

func open(ctx context.Context, o Options, s *source) (*Image, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Deadline)
	defer cancel()
	if o.Daemon == nil {
		return fromOrigin(ctx, o, s)
	}
	// Without an origin nobody else can be asked, and a daemon that is not there
	// when a start begins is more likely a mistake than a restart.
	patience := time.Now()
	if o.Origin != nil {
		patience = patience.Add(o.Grace)
	}
	for {
		began := time.Now()
		img, err := fromDaemon(ctx, o, s)
		if err == nil {
			return img, nil
		}
		if !errors.Is(err, block.ErrUnavailable) || ctx.Err() != nil {
			return nil, err
		}
		if !api.Answered(err) {
			s.failed(began)
		} else if o.Origin != nil {
			patience = time.Time{} // it is there; its origin is not
		}
		if !time.Now().Before(patience) {
			if o.Origin == nil {
				return nil, err
			}
			img, direct := fromOrigin(ctx, o, s)
			if direct != nil {
				return nil, fmt.Errorf("%w; without the daemon: %w", err, direct)
			}
			return img, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(firstPause):
		}
	}
}

func fromDaemon(ctx context.Context, o Options, s *source) (*Image, error) {
	resp, err := o.Daemon.OpenImage(ctx, &cachedv1.OpenImageRequest{Image: o.Image, Workload: o.Workload, ReadAhead: o.ReadAhead, PagesHeld: o.PagesHeld})
	if err != nil {
		return nil, err
	}
	session := resp.GetSessionId()
	m, err := ManifestFromProto(resp.GetManifest(), resp.GetManifestId())
	if err == nil {
		var img *Image
		if img, err = newImage(o, s, m); err == nil {
			img.touches.daemon, img.touches.session, img.stale = o.Daemon, session, resp.GetStale()
			img.expect.start(img)
			return img, nil
		}
	}
	_ = o.Daemon.CloseSession(ctx, session) // what was wrong before counts
	return nil, fmt.Errorf("%s: %w", o.Daemon.URL(), err)
}

// fromOrigin opens the image without the daemon.
func fromOrigin(ctx context.Context, o Options, s *source) (*Image, error) {
	catalog, err := image.NewCatalog(o.Origin, image.CatalogOptions{Manifests: 1})
	if err != nil {
		return nil, err
	}
	e, err := catalog.Open(ctx, o.Image)
	if err != nil {
		return nil, err
	}
	return newImage(o, s, e.Manifest)
}
