package agent

import (
	"fmt"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// ManifestVersion is the version the RPC states for manifests of this format.
const ManifestVersion = 1

// ManifestFromProto checks that p is the manifest called id, whoever sent it: the
// manifest has one encoding, and that must hash to id.
func ManifestFromProto(p *cachedv1.Manifest, id string) (*image.Manifest, error) {
	want, err := block.ParseID(id)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if p.GetVersion() != ManifestVersion {
		return nil, fmt.Errorf("manifest %s: version %d, this program reads version %d: update it", id, p.GetVersion(), ManifestVersion)
	}
	m := &image.Manifest{
		MediaType: p.GetMediaType(), Size: int64(p.GetSize()), Source: p.GetSource(), Annotations: p.GetAnnotations(),
		Blocks: make([]image.BlockRef, len(p.GetBlocks())),
	}
	for i, ref := range p.GetBlocks() {
		if len(ref.GetId()) != len(block.ID{}) {
			return nil, fmt.Errorf("manifest %s: block %d: id of %d bytes, want %d", id, i, len(ref.GetId()), len(block.ID{}))
		}
		b := image.BlockRef{ID: block.ID(ref.GetId()), Stored: ref.GetStoredLength(), Length: ref.GetLength()}
		switch ref.GetEncoding() {
		case cachedv1.Encoding_ENCODING_RAW:
			b.Encoding = image.Raw
		case cachedv1.Encoding_ENCODING_ZSTD:
			b.Encoding = image.Zstd
		default:
			return nil, fmt.Errorf("manifest %s: block %d: unknown encoding %s: update this program", id, i, ref.GetEncoding())
		}
		m.Blocks[i] = b
	}
	got, err := m.ID()
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", id, err)
	}
	if got != want {
		return nil, fmt.Errorf("manifest %s: the daemon sent one that hashes to %s: %w", id, got, block.ErrCorrupt)
	}
	return m, nil
}
