package image

import (
	"fmt"
	"io"
	"sort"
	"sync"

	"github.com/zonecache/cached/block"
)

// Media types of images.
const (
	// MediaTypeEROFS is a file system that Linux mounts as it is.
	MediaTypeEROFS = "application/vnd.cached.image.erofs.v1"
	// MediaTypeBytes is anything else.
	MediaTypeBytes = "application/octet-stream"
)

// Annotation keys.
const (
	// AnnotationConfig holds the OCI image config as its author wrote it, JSON:
	// entrypoint, environment, user, working directory.
	AnnotationConfig = "org.opencontainers.image.config"
	// AnnotationPlatform holds os/arch[/variant].
	AnnotationPlatform = "org.opencontainers.image.platform"
)

// An Encoding says how a block's stored bytes become the image's bytes.
type Encoding uint8

// The encodings.
const (
	Raw  Encoding = iota // as they are
	Zstd                 // one zstd frame
)

// String returns "raw" or "zstd".
func (e Encoding) String() string {
	switch e {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}

// A BlockRef is one piece of an image.
type BlockRef struct {
	ID       block.ID
	Stored   uint32 // bytes of the block, 1 to block.MaxSize
	Length   uint32 // bytes of the image it stands for, 1 to block.MaxSize
	Encoding Encoding
}

// A Manifest describes one image: its bytes as an ordered list of blocks, and
// what they are. It must not be changed once it is in use; all methods may be
// called concurrently.
type Manifest struct {
	MediaType string
	Size      int64 // bytes of the image, the sum of the blocks' lengths
	Blocks    []BlockRef
	// Source is where the image came from as far as its content says (the
	// digest of an OCI config), never a path or a time: the same content
	// published elsewhere has the same manifest.
	Source      string
	Annotations map[string]string

	index sync.Once
	ends  []int64 // ends[i] is the offset behind block i
}

// ID returns the digest of the manifest's encoding, by which it is stored.
func (m *Manifest) ID() (block.ID, error) {
	p, err := m.Encode()
	if err != nil {
		return block.ID{}, err
	}
	return block.Sum(p), nil
}

// StoredSize returns the bytes of the distinct blocks in their stored form.
func (m *Manifest) StoredSize() int64 {
	seen := make(map[block.ID]struct{}, len(m.Blocks))
	var n int64
	for _, b := range m.Blocks {
		if _, ok := seen[b.ID]; !ok {
			seen[b.ID] = struct{}{}
			n += int64(b.Stored)
		}
	}
	return n
}

func (m *Manifest) buildIndex() {
	m.ends = make([]int64, len(m.Blocks))
	var end int64
	for i, b := range m.Blocks {
		end += int64(b.Length)
		m.ends[i] = end
	}
}

// Locate returns the index of the block that holds the byte at off, and where in
// the block's decoded bytes it lies. off must be within the image; [Manifest.CheckRange]
// tells.
func (m *Manifest) Locate(off int64) (index int, within int64) {
	m.index.Do(m.buildIndex)
	i := sort.Search(len(m.ends), func(i int) bool { return m.ends[i] > off })
	return i, off - m.start(i)
}

// Offset returns where block i begins in the image.
func (m *Manifest) Offset(i int) int64 {
	m.index.Do(m.buildIndex)
	return m.start(i)
}

func (m *Manifest) start(i int) int64 {
	if i == 0 {
		return 0
	}
	return m.ends[i-1]
}

// A RangeError says that a read reaches beyond the image.
type RangeError struct {
	Offset, Length, Size int64
}

// Error names the range and the size.
func (e *RangeError) Error() string {
	return fmt.Sprintf("image: range of %d bytes at offset %d: outside of the image's %d bytes", e.Length, e.Offset, e.Size)
}

// Is makes a RangeError match io.EOF when the range begins at or behind the end.
func (e *RangeError) Is(target error) bool {
	return target == io.EOF && e.Offset >= e.Size
}

// CheckRange returns a *RangeError unless length bytes from off on are within the
// image.
func (m *Manifest) CheckRange(off, length int64) error {
	if off < 0 || length < 0 || off > m.Size || length > m.Size-off {
		return &RangeError{Offset: off, Length: length, Size: m.Size}
	}
	return nil
}
