package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/zonecache/cached/block"
)

// The encoding, integers big-endian:
//
//	magic "cachedim" · version u8 · media type · source ·
//	count u32 of annotations, each key and value, keys ascending ·
//	size u64 · count u32 of blocks, 41 bytes each:
//	id [32] · stored u32 · length u32 · encoding u8
//
// where a text is its length as u32 and its bytes in UTF-8. Every manifest has
// exactly one encoding.
const (
	magic      = "cachedim"
	version    = 1
	blockBytes = len(block.ID{}) + 4 + 4 + 1
)

// Limits of a manifest, in bytes.
const (
	// MaxManifestSize lets an image have six million blocks.
	MaxManifestSize = 256 << 20
	maxMediaType    = 255
	maxSource       = 1 << 10
	maxAnnotation   = 4 << 20
	maxAnnotations  = 256 // a count
)

// ErrManifest: the bytes are no manifest this program can use.
var ErrManifest = errors.New("invalid manifest")

// Encode returns the one encoding of m, or an error that matches ErrManifest when
// m breaks a rule.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	p := make([]byte, 0, 256+len(m.Blocks)*blockBytes)
	p = append(p, magic...)
	p = append(p, version)
	p = appendText(p, m.MediaType)
	p = appendText(p, m.Source)
	p = binary.BigEndian.AppendUint32(p, uint32(len(m.Annotations)))
	for _, k := range slices.Sorted(maps.Keys(m.Annotations)) {
		p = appendText(appendText(p, k), m.Annotations[k])
	}
	p = binary.BigEndian.AppendUint64(p, uint64(m.Size))
	p = binary.BigEndian.AppendUint32(p, uint32(len(m.Blocks)))
	for _, b := range m.Blocks {
		p = append(p, b.ID[:]...)
		p = binary.BigEndian.AppendUint32(p, b.Stored)
		p = binary.BigEndian.AppendUint32(p, b.Length)
		p = append(p, byte(b.Encoding))
	}
	if len(p) > MaxManifestSize {
		return nil, fmt.Errorf("image: %w: %d bytes, at most %d are allowed", ErrManifest, len(p), MaxManifestSize)
	}
	return p, nil
}

// Decode reads what [Manifest.Encode] wrote and accepts nothing else. Errors match
// ErrManifest.
func Decode(p []byte) (*Manifest, error) {
	if len(p) > MaxManifestSize {
		return nil, fmt.Errorf("image: %w: %d bytes, at most %d are allowed", ErrManifest, len(p), MaxManifestSize)
	}
	d := decoder{rest: p}
	m := d.manifest()
	if d.err != nil {
		return nil, fmt.Errorf("image: %w: %w", ErrManifest, d.err)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeVerified is Decode for bytes that a store returned as the manifest id.
// Errors match block.ErrCorrupt, as of any object that is not what was published,
// and ErrManifest as well when the digest is right.
func DecodeVerified(id block.ID, p []byte) (*Manifest, error) {
	if sum := block.Sum(p); sum != id {
		return nil, fmt.Errorf("image: manifest %s: its %d bytes have digest %s: %w", id, len(p), sum, block.ErrCorrupt)
	}
	m, err := Decode(p)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %w", id, block.ErrCorrupt, err)
	}
	return m, nil
}

// check enforces what both directions of the codec promise.
func (m *Manifest) check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("image: %w: %w", ErrManifest, fmt.Errorf(format, args...))
	}
	if m.MediaType == "" || len(m.MediaType) > maxMediaType {
		return fail("media type of %d bytes, want 1 to %d", len(m.MediaType), maxMediaType)
	}
	if len(m.Source) > maxSource {
		return fail("source of %d bytes, at most %d are allowed", len(m.Source), maxSource)
	}
	if len(m.Annotations) > maxAnnotations {
		return fail("%d annotations, at most %d are allowed", len(m.Annotations), maxAnnotations)
	}
	for k, v := range m.Annotations {
		if k == "" || len(k) > maxMediaType || len(v) > maxAnnotation {
			return fail("annotation %.40q: key of %d and value of %d bytes, want 1 to %d and at most %d", k, len(k), len(v), maxMediaType, maxAnnotation)
		}
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fail("annotation %.40q is not UTF-8", k)
		}
	}
	if !utf8.ValidString(m.MediaType) || !utf8.ValidString(m.Source) {
		return fail("media type or source is not UTF-8")
	}
	var sum int64
	for i, b := range m.Blocks {
		switch {
		case b.ID.IsZero():
			return fail("block %d has no id", i)
		case b.Length == 0 || b.Length > block.MaxSize:
			return fail("block %d of %d bytes, want 1 to %d", i, b.Length, block.MaxSize)
		case b.Encoding == Raw && b.Stored != b.Length:
			return fail("block %d is raw but stores %d bytes for %d", i, b.Stored, b.Length)
		case b.Encoding == Zstd && (b.Stored == 0 || b.Stored >= b.Length):
			return fail("block %d is compressed but stores %d bytes for %d", i, b.Stored, b.Length)
		case b.Encoding > Zstd:
			return fail("block %d has the unknown %s", i, b.Encoding)
		}
		sum += int64(b.Length)
	}
	if sum != m.Size {
		return fail("size is %d bytes but the blocks add up to %d", m.Size, sum)
	}
	return nil
}

func appendText(p []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(p, uint32(len(s))), s...)
}

// A decoder takes values off the front of rest until the first error.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) take(n int, what string) []byte {
	if d.err == nil && n > len(d.rest) {
		d.fail("truncated: %s needs %d bytes, %d are left", what, n, len(d.rest))
	}
	if d.err != nil {
		return nil
	}
	p := d.rest[:n]
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) u32(what string) uint32 {
	if p := d.take(4, what); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) text(what string, limit int) string {
	n := d.u32(what)
	if d.err == nil && int64(n) > int64(limit) {
		d.fail("%s of %d bytes, at most %d are allowed", what, n, limit)
	}
	return string(d.take(int(n), what))
}

func (d *decoder) manifest() *Manifest {
	if p := d.take(len(magic), "magic"); d.err == nil && string(p) != magic {
		d.fail("begins with %q, not %q", p, magic)
	}
	if p := d.take(1, "version"); d.err == nil && p[0] != version {
		d.fail("version %d, this program reads version %d; use a newer program", p[0], version)
	}
	m := &Manifest{MediaType: d.text("media type", maxMediaType), Source: d.text("source", maxSource)}
	count := d.u32("annotation count")
	if count > maxAnnotations {
		d.fail("%d annotations, at most %d are allowed", count, maxAnnotations)
	}
	last := ""
	for range count {
		k, v := d.text("annotation key", maxMediaType), d.text("annotation", maxAnnotation)
		if d.err != nil {
			return nil
		}
		if k <= last {
			d.fail("annotation %q is not behind %q", k, last)
			return nil
		}
		if m.Annotations == nil {
			m.Annotations = make(map[string]string, count)
		}
		m.Annotations[k], last = v, k
	}
	if p := d.take(8, "size"); p != nil {
		m.Size = int64(binary.BigEndian.Uint64(p))
	}
	// The count is believed only as far as there are bytes behind it.
	n := int64(d.u32("block count"))
	if d.err == nil && int64(len(d.rest)) != n*int64(blockBytes) {
		d.fail("%d blocks need %d bytes, %d follow", n, n*int64(blockBytes), len(d.rest))
	}
	if d.err != nil {
		return nil
	}
	m.Blocks = make([]BlockRef, n)
	for i := range m.Blocks {
		p := d.rest[i*blockBytes:]
		b := &m.Blocks[i]
		copy(b.ID[:], p)
		b.Stored = binary.BigEndian.Uint32(p[32:])
		b.Length = binary.BigEndian.Uint32(p[36:])
		b.Encoding = Encoding(p[40])
	}
	return m
}
