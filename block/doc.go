// Package block is the vocabulary every other package speaks: what a block is,
// how it is named, who may hold its bytes, and the one-method interface behind
// which every tier, every combination of tiers and every remote node stands.
//
// A block is at most [MaxSize] immutable bytes named by the BLAKE3-256 digest of
// exactly those bytes (its stored form: raw or zstd, the cache never looks
// inside). A [Block] value is one reference to a pooled buffer: whoever gets a
// Block releases it once, whoever keeps one retains it first.
//
// Buffers come from a [Pool], whose memory lies outside the Go heap, so that
// gigabytes of cached blocks cost the garbage collector nothing. With the build
// tag "invariants" (or under the race detector) buffers come from the heap, are
// poisoned on free, and leaks and double releases are reported with the stack
// that took the reference.
//
// The package depends on the standard library and BLAKE3 only.
package block
