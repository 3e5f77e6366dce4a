// Package day simulates what the hosts of a zone read in a day of starts, and which
// tier serves it.
//
//	r, err := day.Run(day.Default())
//
// A start is its image's essential blocks in their order. Each host has the models of
// L1 and L2 in package product; who owns a block is placement's ring, which of its
// readers keep it on disk is tiers/peer/hot, and what is asked of whom is what wire.go
// of the daemon has: L1, L2, then the owner's L1 and L2, the next holder's, the origin.
//
// There is no time within a start, and bytes take none: what hangs on the speed of
// links, such as redirects between hosts that read one block at the same moment, is the
// business of loadtest/sim. Everything is drawn from a seed: the same options give the
// same counts.
package day
