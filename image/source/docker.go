package source

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/zonecache/cached/image"
)

// A dockerSource is an archive written by docker save.
type dockerSource struct {
	path string
	set  settings
}

// Open implements [image.Source].
func (s dockerSource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	c, err := s.load(ctx, report)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return c, nil
}

func (s dockerSource) load(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	report(image.Progress{Stage: image.StageRead, Detail: "manifest", Total: -1})
	list, err := tarball.LoadManifest(s.open)
	if err != nil {
		return nil, fmt.Errorf("not an archive of docker save: %w", err)
	}
	if len(list) != 1 {
		var tags []string
		for _, d := range list {
			tags = append(tags, d.RepoTags...)
		}
		return nil, fmt.Errorf("the archive holds %d images (%s), want one", len(list), orNothing(tags))
	}
	img, err := tarball.Image(s.open, nil)
	if err != nil {
		return nil, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	// Layers are read as the archive has them: asking the library for its
	// compressed form would compress them.
	all, err := img.Layers()
	if err != nil {
		return nil, err
	}
	var layers []layer
	for i, l := range all {
		if t, err := l.MediaType(); err == nil && !t.IsDistributable() {
			return nil, fmt.Errorf("layer %d of %d: %w", i+1, len(all), checkLayerType(t))
		}
		layers = append(layers, layer{open: l.Uncompressed})
	}
	return openLayers(ctx, config, layers, s.set, report)
}

// open returns the archive, which may be compressed as a whole.
func (s dockerSource) open() (io.ReadCloser, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	plain, err := decompress(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return twoClosers{plain, f}, nil
}

// twoClosers closes what stands behind a reader as well.
type twoClosers struct {
	io.ReadCloser
	behind io.Closer
}

// Close implements io.Closer.
func (t twoClosers) Close() error {
	err := t.ReadCloser.Close()
	if behindErr := t.behind.Close(); err == nil {
		err = behindErr
	}
	return err
}
