package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
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
		Bytes: &sparseFile{f: f, opened: fi, rest: fi.Size(), stop: ctx.Err},
	}, nil
}

// A sparseFile reads a file from its start to the size it had when opened, and
// knows its holes. In place of io.EOF it returns an error when the file is not
// what was opened: its bytes may then be partly old and partly new.
type sparseFile struct {
	f         *os.File
	opened    os.FileInfo
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
		return 0, s.end()
	}
	n, err := s.f.ReadAt(p[:min(int64(len(p)), s.rest)], s.off)
	s.off, s.rest = s.off+int64(n), s.rest-int64(n)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return 0, s.changed("it became shorter")
	}
	return 0, err
}

// end returns io.EOF when the file is as it was when opened. The time of change
// tells of writers that set the time of writing back, as copying tools do.
func (s *sparseFile) end() error {
	now, err := s.f.Stat()
	if err != nil {
		return err
	}
	switch {
	case now.Size() != s.opened.Size():
		return s.changed(fmt.Sprintf("it had %d bytes and has %d", s.opened.Size(), now.Size()))
	case !now.ModTime().Equal(s.opened.ModTime()):
		return s.changed("it was written to")
	case changeTime(now) != changeTime(s.opened):
		return s.changed("its content or attributes were set")
	}
	return io.EOF
}

func (s *sparseFile) changed(how string) error {
	return fmt.Errorf("%s changed while it was being published: %w: %s", s.f.Name(), rootfs.ErrChanged, how)
}

func changeTime(fi os.FileInfo) syscall.Timespec {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ctim
	}
	return syscall.Timespec{}
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
