package main

import (
	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/image"
)

func manifestToProto(m *image.Manifest) *cachedv1.Manifest {
	p := &cachedv1.Manifest{
		Version: agent.ManifestVersion, MediaType: m.MediaType, Size: uint64(m.Size),
		Source: m.Source, Annotations: m.Annotations,
		Blocks: make([]*cachedv1.BlockRef, len(m.Blocks)),
	}
	refs := make([]cachedv1.BlockRef, len(m.Blocks))
	for i := range m.Blocks {
		b, ref := &m.Blocks[i], &refs[i]
		ref.Id, ref.StoredLength, ref.Length, ref.Encoding = b.ID[:], b.Stored, b.Length, encodings[b.Encoding]
		p.Blocks[i] = ref
	}
	return p
}

var encodings = map[image.Encoding]cachedv1.Encoding{
	image.Raw:  cachedv1.Encoding_ENCODING_RAW,
	image.Zstd: cachedv1.Encoding_ENCODING_ZSTD,
}
