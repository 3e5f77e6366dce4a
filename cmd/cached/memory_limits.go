package main

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/block"
)

// heapTarget is where the collector starts to work harder. Blocks lie outside of
// the Go heap, so what remains (indexes, connections, manifests) is small.
const heapTarget = 96 << 20

// L2's index, ghost and heat grow with it: about half a MiB of heap for each GiB,
// up to what Pebble's caches are bounded to.
const (
	heapPerL2GiB = 512 << 10
	maxL2Heap    = 256 << 20
	l2QueueBytes = 64 << 20 // blocks on their way to the disk, outside of the heap
)

// minHeap is the least the daemon can work with beside its blocks.
const minHeap = 64 << 20

// memoryOfMachine returns the bytes of memory there are.
func memoryOfMachine() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return math.MaxInt64 // nothing is known, so nothing is too large
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// setMemoryLimits keeps the process within the L1 budget plus a fixed overhead.
// A limit that was given by GOMEMLIMIT covers the blocks too, which the Go
// runtime does not see: they are taken off it.
func setMemoryLimits(l1, l2 int64) error {
	given := debug.SetMemoryLimit(-1)
	limit := int64(heapTarget) + min(l2>>30*heapPerL2GiB, maxL2Heap)
	if given != math.MaxInt64 {
		limit = given - l1 - block.DefaultIdle - min(l2, l2QueueBytes)
		if limit < minHeap {
			return fmt.Errorf("GOMEMLIMIT=%s leaves %s beside an L1 of %s: raise it or lower --l1-size",
				humanize.IBytes(uint64(given)), humanize.IBytes(uint64(max(limit, 0))), humanize.IBytes(uint64(l1)))
		}
	}
	debug.SetMemoryLimit(limit)
	return nil
}
