package image

import (
	"context"

	"github.com/zonecache/cached/block"
)

// A Target is where images are published: an object store or a folder. Every
// write may be repeated. All methods may be called concurrently.
type Target interface {
	// HasBlock reports whether the block is there with a length of size bytes. It
	// reads no content: one request of a few bytes.
	HasBlock(ctx context.Context, id block.ID, size int64) (bool, error)
	// VerifyBlock reads the block and reports whether it is there with the right
	// bytes. Missing and wrong are no errors.
	VerifyBlock(ctx context.Context, id block.ID) (bool, error)
	// PutBlock borrows b for the call and replaces whatever has its name.
	PutBlock(ctx context.Context, b block.Block) error
	Manifest(ctx context.Context, id block.ID) ([]byte, error)
	// PutManifest replaces whatever has its name.
	PutManifest(ctx context.Context, id block.ID, p []byte) error
	PutRef(ctx context.Context, name string, id block.ID) error
}

// A Source produces an image. image/source has those for directories, archives
// and registries.
type Source interface {
	// Open does what must be done before the first byte is known, such as reading
	// the layers of a container image, and reports on it. The caller closes the
	// content.
	Open(ctx context.Context, report func(Progress)) (*Content, error)
}

// Content is an image that is ready to be read once, from its first byte on.
type Content struct {
	MediaType   string
	Source      string // see Manifest.Source
	Annotations map[string]string
	Size        int64 // bytes, or -1 when it is not known before the end
	// Starts are ascending offsets where a block should begin, because what
	// begins there is likely to be in other images as well.
	Starts []int64
	// Bytes may be a HoleReader. Its Close ends whatever stands behind the content.
	Bytes interface {
		Read(p []byte) (int, error)
		Close() error
	}
}
