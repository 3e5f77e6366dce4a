package api

import "github.com/zonecache/cached/block"

// Header fields of the raw encoding.
const (
	tierHeader        = "X-Cached-Tier"         // who served: l1, l2, l3 or l4
	blockLengthHeader = "X-Cached-Block-Length" // of the whole block, in bytes
	timeoutHeader     = "Connect-Timeout-Ms"    // of the Connect protocol
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
