// Package product has the product's own tiers as caches of objects, to compare what
// they keep with what other policies do.
//
//   - [L1] is tiers/memory itself, asked as the daemon's chain asks it. It decides in
//     other goroutines, samples at random, and drops some of the reads it would learn
//     from while a processor is busy, so that two runs differ by a few thousandths.
//   - [L1Model] is a model of it that decides at once and draws from a seed, for zones of
//     many hosts. A test holds it beside the tier.
//   - [L2] has its decisions from tiers/disk/evict, the code the daemon runs, over
//     segments that exist as records only. A test holds it beside the tier on a real
//     disk.
package product
