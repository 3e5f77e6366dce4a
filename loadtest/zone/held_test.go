package zone

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Space that a file has been given and not written to is not what it holds.
func TestHeldIsWhatWasWritten(t *testing.T) {
	n := &Node{dir: t.TempDir()}
	dir := filepath.Join(n.dir, "l2", "segments")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "000000000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 4<<20); err != nil {
		t.Skip("the file system gives no space beforehand:", err)
	}
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	if held := n.Held(t); held != 64<<10 {
		t.Errorf("%d bytes are held, want %d", held, 64<<10)
	}
}
