// Package peers compares the daemon with other caches that run on the same machine,
// in one run, over the same bytes: nginx and varnish as caching proxies, the
// registry of distribution as a pull-through mirror, and groupcache in a server of
// its own.
//
// One store (origin_test.go) stands behind all of them, each comes to it by a door of
// its own, and what goes through a door is counted. One client (package rate) reads
// from all of them, in turn, round after round; the processor's time of a cache is
// that of all its processes. So the figures are ratios of one run, and say how much
// work each does for the same bytes, though not each does the same: docs/peers.md
// says who verifies what.
//
// The tests of the package are the measurements of `make prove-loadtest`; `go test`
// runs them small. What cannot be installed from Debian is left out, by a subtest
// that is skipped and says why.
package peers
