package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sector is the alignment of every transfer: offset, length and memory. It is
// the page size, which every disk's logical block divides.
const sector = 4096

func sectorsDown(n int64) int64 { return n &^ (sector - 1) }
func sectorsUp(n int64) int64   { return (n + sector - 1) &^ (sector - 1) }

// A fileSystem is what the tier asks of the operating system for its segments.
// Tests replace it to make media fail.
type fileSystem interface {
	// Create makes a file of size bytes whose space is taken from the file
	// system at once, so that a full disk shows here and not in mid-write.
	Create(path string, size int64) (segmentFile, error)
	Open(path string) (segmentFile, error)
	Remove(path string) error
	// Free returns the bytes an unprivileged user could still write below dir.
	Free(dir string) (int64, error)
}

// A segmentFile transfers whole sectors. Reads that race Close fail with
// [os.ErrClosed]; the descriptor lives until the last of them returns.
type segmentFile interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

// osFiles is the real file system. Segments are opened for direct I/O: their
// bytes are read once into a block and would only displace other pages.
type osFiles struct{ readOnly bool }

func (f osFiles) flags() int {
	if f.readOnly {
		return os.O_RDONLY
	}
	return os.O_RDWR
}

// openDirect falls back to the page cache where direct I/O is refused.
func openDirect(path string, flags int) (*osFile, error) {
	file, err := os.OpenFile(path, flags|unix.O_DIRECT, 0o600)
	if errors.Is(err, unix.EINVAL) {
		// The refused open may have created the file.
		file, err = os.OpenFile(path, flags&^os.O_EXCL, 0o600)
		return &osFile{File: file, buffered: true}, err
	}
	return &osFile{File: file}, err
}

func (f osFiles) Create(path string, size int64) (segmentFile, error) {
	file, err := openDirect(path, f.flags()|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if err := unix.Fallocate(int(file.Fd()), 0, 0, size); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, errors.Join(fmt.Errorf("allocate %d bytes for %s: %w", size, path, err), file.Close(), os.Remove(path))
	}
	return file, nil
}

func (f osFiles) Open(path string) (segmentFile, error) {
	file, err := openDirect(path, f.flags())
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (osFiles) Remove(path string) error { return os.Remove(path) }

func (osFiles) Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

type osFile struct {
	*os.File
	buffered bool
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if f.buffered {
		// Keep direct I/O's promise not to displace other pages.
		_ = unix.Fadvise(int(f.Fd()), off, int64(len(p)), unix.FADV_DONTNEED)
	}
	return n, err
}

// Sync makes the written data durable, and the metadata needed to read it.
func (f *osFile) Sync() error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
	}
	if f.buffered {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return nil
}

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
