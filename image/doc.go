// Package image turns bytes into blocks and back: it publishes an image into an
// object store and reads one through whatever serves blocks.
//
// An image is any sequence of bytes: a container image flattened to one file
// system, a code package, a virtual machine's memory. Publishing cuts it where
// its content says ([Cutter]), so that images which share bytes share blocks,
// stores each block raw or compressed, whichever is smaller, under the digest of
// that stored form, and lists the blocks in a [Manifest]. The manifest is named by its digest as
// well; a ref, moved last, gives it a name for people.
//
// # Publish
//
// [Publish] is a pipeline: one goroutine reads and cuts, as many as there are
// cores compress and hash, a bounded number upload what the store does not have.
// Every queue between them is short, so memory does not grow with the image. A
// publish that is stopped leaves blocks that nothing names; the next one finds
// them and sends only the rest.
//
// # Read
//
// A [Reader] maps offsets to blocks, fetches the neighbours a large read needs
// in parallel, decodes straight into the caller's memory where a whole block is
// wanted, and keeps a few decoded blocks for small reads. A [Catalog] turns names into
// manifests and remembers them.
//
// # Determinism
//
// The same bytes give the same manifest, on every machine, whatever the number
// of cores: cuts depend on content and offset only, the compression level is
// pinned, blocks are compressed alone, and a manifest has one valid encoding.
// The version of the compressor is part of this: a new one may write other bytes
// for the same block, which costs sharing with older images and nothing else
// (docs/adr/0001-block-size-and-cut.md).
//
// Sources that need libraries of their own are in image/source, the file system
// is made by image/rootfs.
package image
