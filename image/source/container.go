package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/zonecache/cached/image"
)

// blobs is where the parts of a container image lie, by digest. What it returns
// is not verified.
type blobs interface {
	manifest(ctx context.Context, d v1.Descriptor) ([]byte, error)
	blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
}

// maxDocument bounds indexes, manifests and configs; the largest seen are some
// hundred kilobytes.
const maxDocument = 4 << 20

// maxDepth bounds indexes of indexes.
const maxDepth = 4

// openImage flattens the image that d names, which may be an index of images for
// several platforms.
func openImage(ctx context.Context, from blobs, d v1.Descriptor, set settings, report func(image.Progress)) (*image.Content, error) {
	report(image.Progress{Stage: image.StageRead, Detail: "manifest", Total: -1})
	m, err := resolve(ctx, from, d, set, 0)
	if err != nil {
		return nil, err
	}
	rc, err := from.blob(ctx, m.Config)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	config, err := readDocument(rc, m.Config.Digest)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", m.Config.Digest, err)
	}
	var layers []layer
	for i, ld := range m.Layers {
		if err := checkLayerType(ld.MediaType); err != nil {
			return nil, fmt.Errorf("layer %d of %d, %s: %w", i+1, len(m.Layers), ld.Digest, err)
		}
		layers = append(layers, layer{
			digest: ld.Digest, size: ld.Size,
			open: func() (io.ReadCloser, error) { return from.blob(ctx, ld) },
		})
	}
	return openLayers(ctx, config, layers, set, report)
}

// openLayers flattens layers under the config that lists their diff ids.
func openLayers(ctx context.Context, config []byte, layers []layer, set settings, report func(image.Progress)) (*image.Content, error) {
	cf, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	if len(cf.RootFS.DiffIDs) != len(layers) {
		return nil, fmt.Errorf("the manifest has %d layers, the config %d", len(layers), len(cf.RootFS.DiffIDs))
	}
	platform := v1.Platform{OS: cf.OS, Architecture: cf.Architecture, Variant: cf.Variant}
	want := set.platform
	if platform.Variant == "" {
		want.Variant = "" // often only the index tells
	}
	if set.explicit && !matches(platform, want) {
		return nil, fmt.Errorf("platform %s: the image is for %s only", set.platform, platform)
	}
	for i := range layers {
		layers[i].diffID = cf.RootFS.DiffIDs[i]
		layers[i].label = fmt.Sprintf("layer %d of %d, %s", i+1, len(layers), layers[i].name())
	}
	c, err := flatten(ctx, set, report, layers)
	if err != nil {
		return nil, err
	}
	sum, _, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, errors.Join(err, c.Bytes.Close())
	}
	// The config's digest names the image in every packing of it.
	c.Source = sum.String()
	c.Annotations = map[string]string{image.AnnotationConfig: string(config), image.AnnotationPlatform: platform.String()}
	return c, nil
}

func (l layer) name() string {
	if l.digest != (v1.Hash{}) {
		return l.digest.String()
	}
	return l.diffID.String()
}

// resolve follows indexes to the manifest for the platform.
func resolve(ctx context.Context, from blobs, d v1.Descriptor, set settings, depth int) (*v1.Manifest, error) {
	p, err := from.manifest(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if _, err := readDocument(io.NopCloser(bytes.NewReader(p)), d.Digest); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	var doc struct {
		MediaType types.MediaType `json:"mediaType"`
		v1.Manifest
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(p, &doc); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	mt := doc.MediaType
	if mt == "" {
		mt = d.MediaType
	}
	switch {
	case mt.IsIndex():
		if depth >= maxDepth {
			return nil, fmt.Errorf("manifest %s: indexes of indexes, more than %d deep", d.Digest, maxDepth)
		}
		next, err := choose(doc.Manifests, set.platform)
		if err != nil {
			return nil, err
		}
		return resolve(ctx, from, next, set, depth+1)
	case !mt.IsImage():
		return nil, fmt.Errorf("manifest %s: %q is not a container image", d.Digest, mt)
	case !doc.Config.MediaType.IsConfig():
		return nil, fmt.Errorf("manifest %s: not a container image, its config is %q", d.Digest, doc.Config.MediaType)
	}
	return &doc.Manifest, nil
}

// choose returns the first of list for the platform. An entry that names no
// platform serves when it is the only one.
func choose(list []v1.Descriptor, want v1.Platform) (v1.Descriptor, error) {
	var have []string
	for _, d := range list {
		if d.Platform == nil {
			continue
		}
		if matches(*d.Platform, want) {
			return d, nil
		}
		if d.Platform.OS != "unknown" { // attestations
			have = append(have, d.Platform.String())
		}
	}
	if len(list) == 1 && list[0].Platform == nil {
		return list[0], nil
	}
	return v1.Descriptor{}, fmt.Errorf("no image for platform %s; there is %s", want, orNothing(have))
}

func matches(have, want v1.Platform) bool {
	return have.OS == want.OS && have.Architecture == want.Architecture && (want.Variant == "" || want.Variant == have.Variant)
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// checkLayerType refuses layers that are kept elsewhere, or are no file system.
func checkLayerType(t types.MediaType) error {
	switch t {
	case types.OCILayer, types.OCIUncompressedLayer, types.OCILayerZStd, types.DockerLayer, types.DockerUncompressedLayer,
		"application/vnd.docker.image.rootfs.diff.tar.zstd":
		return nil
	}
	if !t.IsDistributable() {
		return fmt.Errorf("media type %q: the layer is not part of the image but kept by its vendor", t)
	}
	return fmt.Errorf("media type %q: not a file system layer (tar, tar+gzip or tar+zstd)", t)
}

// readDocument reads and closes rc, whose bytes must have the digest.
func readDocument(rc io.ReadCloser, want v1.Hash) ([]byte, error) {
	defer rc.Close()
	c := newChecker(rc, want, nil)
	p, err := io.ReadAll(io.LimitReader(c, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(p) > maxDocument {
		return nil, fmt.Errorf("more than %d bytes", maxDocument)
	}
	return p, c.check("bytes")
}
