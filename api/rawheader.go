package api

import "github.com/zonecache/cached/block"

// Header fields of the raw encoding.
const (
	tierHeader        = "X-Cached-Tier"         // who served: l1, l2, l3 or l4
	blockLengthHeader = "X-Cached-Block-Length" // of the whole block, in bytes
	timeoutHeader     = "Connect-Timeout-Ms"    // of the Connect protocol
)

// Header fields of answers between peers.
const (
	redirectHeader = "X-Cached-Redirect" // the NAME of the node to ask: a forged one can only lead to a node of the ring
	epochHeader    = "X-Cached-Epoch"    // of the answering node's ring
	depthHeader    = "X-Cached-Depth"    // how many nodes pass the bytes on while they still arrive
	hotHeader      = "X-Cached-Hot"      // 1: the reader should keep the block
)

// tierName returns the constant string p spells, or a copy of p.
func tierName(p []byte) string {
	for _, t := range block.Tiers {
		if s := t.String(); s == string(p) {
			return s
		}
	}
	return string(p)
}
