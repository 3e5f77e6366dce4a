package source

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/zonecache/cached/image"
)

// tagKey is the annotation that holds a tag in an OCI layout's index.
const tagKey = "org.opencontainers.image.ref.name"

// A layoutSource is an image in an OCI layout folder.
type layoutSource struct {
	path, tag string
	set       settings
}

// Open implements [image.Source].
func (s layoutSource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	d, err := s.find()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	c, err := openImage(ctx, layoutBlobs(s.path), d, s.set, report)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return c, nil
}

// find returns the entry with the tag, or the only one.
func (s layoutSource) find() (v1.Descriptor, error) {
	f, err := os.Open(filepath.Join(s.path, "index.json"))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("not an OCI image layout: %w", err)
	}
	p, err := readDocument(f, v1.Hash{})
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("index.json: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(p, &index); err != nil {
		return v1.Descriptor{}, fmt.Errorf("not an OCI image layout: index.json: %w", err)
	}
	var tags []string
	for _, d := range index.Manifests {
		tag := d.Annotations[tagKey]
		if tag != "" && tag == s.tag {
			return d, nil
		}
		if tag != "" {
			tags = append(tags, tag)
		}
	}
	switch {
	case s.tag != "":
		return v1.Descriptor{}, fmt.Errorf("no tag %q; there is %s", s.tag, orNothing(tags))
	case len(index.Manifests) == 0:
		return v1.Descriptor{}, errors.New("the layout holds no image")
	case len(index.Manifests) == 1:
		return index.Manifests[0], nil
	case len(tags) == 0:
		// Untagged entries are usually one image for several platforms.
		return choose(index.Manifests, s.set.platform)
	}
	return v1.Descriptor{}, fmt.Errorf("the layout holds %d images, choose a tag: %s", len(index.Manifests), orNothing(tags))
}

// layoutBlobs is the folder of an OCI layout.
type layoutBlobs string

func (l layoutBlobs) blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	// v1.Hash is checked to be hex when it is parsed, so it cannot leave the folder.
	return os.Open(filepath.Join(string(l), "blobs", d.Digest.Algorithm, d.Digest.Hex))
}

func (l layoutBlobs) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	rc, err := l.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	return readDocument(rc, d.Digest)
}

// An archiveSource is an OCI layout in a tar archive.
type archiveSource struct {
	path string
	set  settings
}

// Open implements [image.Source]. The archive is unpacked to the spool folder
// first, because its blobs come in any order.
func (s archiveSource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	dir, err := os.MkdirTemp(s.set.SpoolDir, "cached-oci-")
	if err != nil {
		return nil, err
	}
	// Layers are in the builder's own spool when Open returns.
	defer os.RemoveAll(dir)
	if err := unpackLayout(ctx, s.path, dir, report); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	c, err := layoutSource{dir, "", s.set}.Open(ctx, report)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return c, nil
}

// unpackLayout writes the files that a layout consists of, and nothing else.
func unpackLayout(ctx context.Context, file, dir string, report func(image.Progress)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	progress := image.Progress{Stage: image.StageRead, Detail: "unpacking", Total: fi.Size()}
	plain, err := decompress(newChecker(f, v1.Hash{}, func(n int) {
		progress.Done += int64(n)
		report(progress)
	}))
	if err != nil {
		return err
	}
	defer plain.Close()
	tr := tar.NewReader(plain)
	for {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not an OCI archive: %w", err)
		}
		name := path.Clean(strings.TrimPrefix(hdr.Name, "./"))
		if hdr.Typeflag != tar.TypeReg || !inLayout(name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), tr); err != nil {
			return fmt.Errorf("%s: %w", hdr.Name, err)
		}
	}
}

// inLayout reports whether name is index.json or a blob.
func inLayout(name string) bool {
	if name == "index.json" {
		return true
	}
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != "blobs" {
		return false
	}
	_, err := v1.NewHash(parts[1] + ":" + parts[2])
	return err == nil
}

func writeFile(name string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
