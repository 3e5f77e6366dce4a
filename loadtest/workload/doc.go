// Package workload says what a load is made of: when starts begin, of which
// images, and which blocks each reads.
//
//	p, err := workload.ParseProcess("poisson:200/s")
//	for a := range p.Arrivals(seed) { ... }            // a.At, a.Name
//
// A [Process] is when: a burst, a ramp, Poisson, a day's rise and fall, or the
// replay of a public trace of function starts ([ReadReplay]: Azure Functions 2019
// and 2021, FaaSNet). A [Popularity] is of which image, by Zipf's law, and
// [Fleet] makes images whose sizes and shared bytes are like the field's where
// there are no real ones. [Accesses] reads public traces of blocks and caches
// (libCacheSim's oracleGeneral, CacheLib's block traces); traces of real starts are
// package prefetch's.
//
// Everything is drawn from a seed: the same seed gives the same load, on any
// machine. Nothing here reads a clock or a network, and no file is taken on trust:
// what does not make sense is an error that says where.
package workload
