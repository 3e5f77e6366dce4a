package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image"
)

// A fileSource is one file of any bytes.
type fileSource struct{ path string }

// Open implements [image.Source].
func (s fileSource) Open(ctx context.Context, _ func(image.Progress)) (*image.Content, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s: %s is not a regular file", s.path, fi.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &image.Content{
		MediaType: image.MediaTypeBytes, Size: fi.Size(),
		Bytes: &sparseFile{f: f, rest: fi.Size(), stop: ctx.Err},
	}, nil
}

// A sparseFile reads a file from its start to the size it had when opened, and
// knows its holes.
type sparseFile struct {
	f         *os.File
	off, rest int64
	stop      func() error // the reason to end early, or nil
}

var _ image.HoleReader = (*sparseFile)(nil)

// Read implements io.Reader.
func (s *sparseFile) Read(p []byte) (int, error) {
	if err := s.stop(); err != nil {
		return 0, err
	}
	if s.rest == 0 {
		return 0, io.EOF
	}
	n, err := s.f.ReadAt(p[:min(int64(len(p)), s.rest)], s.off)
	s.off, s.rest = s.off+int64(n), s.rest-int64(n)
	if n > 0 {
		return n, nil
	}
	return n, err
}

// SkipHole implements [image.HoleReader].
func (s *sparseFile) SkipHole(n int64) (bool, error) {
	if err := s.stop(); err != nil {
		return false, err
	}
	if n > s.rest {
		return false, nil
	}
	data, err := s.nextData()
	if err != nil || data < s.off+n {
		return false, nil //nolint:nilerr // where holes are is not known: then the bytes are read
	}
	s.off, s.rest = s.off+n, s.rest-n
	return true, nil
}

// nextData returns where the next bytes are that are no hole.
func (s *sparseFile) nextData() (int64, error) {
	raw, err := s.f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var data int64
	var seekErr error
	if err := raw.Control(func(fd uintptr) { data, seekErr = unix.Seek(int(fd), s.off, unix.SEEK_DATA) }); err != nil {
		return 0, err
	}
	if errors.Is(seekErr, unix.ENXIO) { // nothing but a hole up to the end
		return s.off + s.rest, nil
	}
	return data, seekErr
}

// Close implements io.Closer.
func (s *sparseFile) Close() error { return s.f.Close() }
