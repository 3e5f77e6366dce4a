package images

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// tagKey is the annotation that holds a tag in an OCI layout's index.
const tagKey = "org.opencontainers.image.ref.name"

// image writes the image's directory. Layers are hard links: an image costs only
// what no other image has.
func (b *builder) image(at string, i Image, layers []Layer) error {
	return b.inWork(at, func(work string) error {
		out := filepath.Join(work, "out")
		img, err := assemble(i, layers, b.layerDir)
		if err != nil {
			return err
		}
		oci, err := layout.Write(filepath.Join(out, "oci"), empty.Index)
		if err != nil {
			return err
		}
		for _, l := range layers {
			h, err := v1.NewHash(l.Digest)
			if err != nil {
				return err
			}
			blob := filepath.Join(string(oci), "blobs", h.Algorithm, h.Hex)
			if err := errors.Join(os.MkdirAll(filepath.Dir(blob), 0o755), os.Link(filepath.Join(b.layerDir(l.Key), archive), blob)); err != nil {
				return err
			}
		}
		// A blob that is there is not written again.
		err = oci.AppendImage(img, layout.WithAnnotations(map[string]string{tagKey: i.Tag}),
			layout.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
		if err != nil {
			return err
		}
		return writeJSON(filepath.Join(out, record), layers)
	})
}

// assemble makes the image of layers that lie in the directories that dir names.
func assemble(i Image, layers []Layer, dir func(key string) string) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range layers {
		blob, err := newBlob(l, filepath.Join(dir(l.Key), archive))
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{
			Layer: blob, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "loadtest/images: " + l.Name},
		})
		if err != nil {
			return nil, err
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Created = "linux", runtime.GOARCH, v1.Time{Time: epoch}
	cf.Config = v1.Config{
		Entrypoint: i.Entrypoint, Cmd: i.Cmd, Env: i.Env, WorkingDir: i.Dir, User: i.User,
		Labels: map[string]string{"org.opencontainers.image.title": i.Name, "org.opencontainers.image.version": i.Tag},
	}
	if i.Ready.Port != 0 {
		cf.Config.ExposedPorts = map[string]struct{}{strconv.Itoa(i.Ready.Port) + "/tcp": {}}
	}
	return mutate.ConfigFile(img, cf)
}

// A blob is a layer whose digests are known and whose bytes lie in a file.
type blob struct {
	file           string
	digest, diffID v1.Hash
	size           int64
}

var _ v1.Layer = blob{}

func newBlob(l Layer, file string) (blob, error) {
	digest, err := v1.NewHash(l.Digest)
	if err != nil {
		return blob{}, fmt.Errorf("%s layer: %w", l.Name, err)
	}
	diffID, err := v1.NewHash(l.DiffID)
	if err != nil {
		return blob{}, fmt.Errorf("%s layer: %w", l.Name, err)
	}
	return blob{file, digest, diffID, l.Size}, nil
}

// Digest implements v1.Layer.
func (b blob) Digest() (v1.Hash, error) { return b.digest, nil }

// DiffID implements v1.Layer.
func (b blob) DiffID() (v1.Hash, error) { return b.diffID, nil }

// Size implements v1.Layer.
func (b blob) Size() (int64, error) { return b.size, nil }

// MediaType implements v1.Layer.
func (b blob) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Compressed implements v1.Layer.
func (b blob) Compressed() (io.ReadCloser, error) { return os.Open(b.file) }

// Uncompressed implements v1.Layer.
func (b blob) Uncompressed() (io.ReadCloser, error) {
	f, err := os.Open(b.file)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", b.file, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}
