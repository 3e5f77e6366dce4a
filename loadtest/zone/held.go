package zone

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Held returns how many bytes of blocks the node's L2 holds. The daemon itself
// tells what the disk gives for them, which is half as much again where a segment
// has just been opened, and becomes exact when it closes: a loss would hide in it.
func (n *Node) Held(tb testing.TB) int64 {
	tb.Helper()
	segments, err := filepath.Glob(filepath.Join(n.dir, "l2", "segments", "*.seg"))
	if err != nil {
		tb.Fatal(err)
	}
	var sum int64
	for _, name := range segments {
		held, err := dataIn(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // evicted meanwhile
			tb.Fatalf("%s: what its disk holds: %v", n.Name, err)
		}
		sum += held
	}
	return sum
}

// dataIn returns how much of a file has been written to.
func dataIn(name string) (sum int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for at := int64(0); ; {
		data, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return sum, nil // no more of it
		}
		if err != nil {
			return 0, err
		}
		if at, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
			return 0, err
		}
		sum += at - data
	}
}
