//go:build linux && !race && !invariants

package block

import (
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// arenaSize is how much address space a class reserves at a time. Reserving
// costs nothing; pages become resident when first written.
const arenaSize = 64 << 20

func newArena(size int) []byte {
	n := max(arenaSize/size, 1) * size
	m, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		// Out of address space or mappings: the heap still works.
		return make([]byte, size)
	}
	return m
}

// discard gives the pages of m back; m reads as zeros afterwards.
func discard(m []byte) {
	// An error leaves the pages resident, which is slower, not wrong.
	_ = syscall.Madvise(m, syscall.MADV_DONTNEED)
}

// cannotPopulate is set where the kernel does not know how (before Linux 5.14).
var cannotPopulate atomic.Bool

// populate makes the pages of m resident, which are about to be written: one call
// instead of a fault for each of them, which costs several times as much, most of all
// in a virtual machine.
func populate(m []byte) {
	if cannotPopulate.Load() {
		return
	}
	if err := unix.Madvise(m, unix.MADV_POPULATE_WRITE); err == unix.EINVAL {
		cannotPopulate.Store(true)
	}
}

func poison([]byte) {}
