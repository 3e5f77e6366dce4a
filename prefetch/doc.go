// Package prefetch learns what starts read, and reads blocks before a program asks
// for them.
//
// A [Recorder] notes the first touches of each start: a [Trace]. [Merge] makes a
// [Profile] of the last traces of a workload: which blocks its starts share, and
// when they read them. Another version of the image takes it over ([Profile.CarryOver]).
// A [Library] keeps both in the origin, for all hosts. [Packs] have the blocks of a
// profile read in few large parts, a [Trust] says how much of one a workload is
// given, and [Warm] brings blocks here before anybody starts.
//
// A [ReadAhead] runs ahead of those who read whole images, or by a profile: for each a
// [Run] reads the blocks that follow what has been read, through the same reader
// as the program, so that the block is in L1 when the program comes to it, and a
// program that comes early joins the read in progress. In a zone the run also
// makes the host a useful member of a burst: it asks for blocks in an order of
// its own (placement.Order), so that hosts that start together have something to
// give each other, and reads the blocks this host owns in the image's order, so
// that they are here when the others ask.
//
// What happens on a read: [ReadAhead.Watch] notes which block of which image a
// program asks for and moves the frontier of the image's runs; it adds an atomic
// load to a read while no image is open, and no wait ever. A run reads with
// block.Prefetch as its cause, as far beyond the frontier as its limits and its
// share of the budget allow, and gives every block back at once: L1 keeps it.
//
// Ownership: a Run ends by [Run.Stop], when its context ends, when everything
// has been read, or after too many failures. Its goroutines belong to the
// ReadAhead, whose Close waits for them. Everything here is safe for concurrent
// use, and only [ReadAhead.Close] waits for anything.
package prefetch
