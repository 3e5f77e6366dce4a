package disk

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble ends the process when its log or manifest cannot be written, which is
// right for a database and wrong for a cache. So Pebble never sees a failed
// write: patientFS repeats a write that the disk refuses until it succeeds.
// Meanwhile Pebble's reads go on, the tier's writer waits inside Pebble, its
// queue fills up, and the tier declines what it is offered.
//
// Close must not wait for a disk that may stay full. It freezes the file system
// instead: from then on every change is silently dropped, all of them, so what
// is left on the disk is what a power cut at that moment would have left, which
// Pebble recovers from.
type patientFS struct {
	vfs.FS
	*patience
}

type patience struct {
	onError func(error) // called at each refused write
	pause   time.Duration
	closing chan struct{}
	armed   atomic.Bool // refused writes are errors until Open has succeeded
	frozen  atomic.Bool
	once    sync.Once
}

func newPatience(pause time.Duration, onError func(error)) *patience {
	return &patience{onError: onError, pause: pause, closing: make(chan struct{})}
}

// hurry makes every write that is refused from now on, or is being repeated,
// freeze the file system.
func (p *patience) hurry() { p.once.Do(func() { close(p.closing) }) }

// refused reports whether err says that the medium, not the request, is at fault.
func refused(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// try runs op until it does not fail for the medium's sake.
func (p *patience) try(op func() error) error {
	for !p.frozen.Load() {
		err := op()
		if err == nil || !p.armed.Load() || !refused(err) {
			return err
		}
		p.onError(err)
		select {
		case <-p.closing:
			p.frozen.Store(true)
		case <-time.After(p.pause):
		}
	}
	return nil
}

// file wraps what open returns; a frozen file system hands out a file that
// swallows everything.
func (p *patience) file(open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := p.try(func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if f == nil {
		f = nullFile{}
	}
	return patientFile{File: f, patience: p}, nil
}

func (fs patientFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.Create(name, c) })
}

func (fs patientFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.OpenReadWrite(name, c, opts...) })
}

func (fs patientFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.ReuseForWrite(oldname, newname, c) })
}

func (fs patientFS) OpenDir(name string) (vfs.File, error) {
	return fs.file(func() (vfs.File, error) { return fs.FS.OpenDir(name) })
}

func (fs patientFS) Link(oldname, newname string) error {
	return fs.try(func() error { return fs.FS.Link(oldname, newname) })
}

func (fs patientFS) Rename(oldname, newname string) error {
	return fs.try(func() error { return fs.FS.Rename(oldname, newname) })
}

func (fs patientFS) Remove(name string) error {
	return fs.try(func() error { return fs.FS.Remove(name) })
}

func (fs patientFS) RemoveAll(name string) error {
	return fs.try(func() error { return fs.FS.RemoveAll(name) })
}

func (fs patientFS) MkdirAll(name string, perm os.FileMode) error {
	return fs.try(func() error { return fs.FS.MkdirAll(name, perm) })
}

// Lock does nothing: the tier holds a lock on the whole directory, and Pebble's
// own would have to be created, which a read-only file system refuses.
func (fs patientFS) Lock(string) (io.Closer, error) { return nullFile{}, nil }

func (fs patientFS) Unwrap() vfs.FS { return fs.FS }

type patientFile struct {
	vfs.File
	*patience
}

// Write repeats only what was not yet written.
func (f patientFile) Write(p []byte) (int, error) {
	done := 0
	err := f.try(func() error {
		n, err := f.File.Write(p[done:])
		done += n
		return err
	})
	if err != nil {
		return done, err
	}
	return len(p), nil
}

func (f patientFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.try(func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f patientFile) Preallocate(off, n int64) error {
	return f.try(func() error { return f.File.Preallocate(off, n) })
}

func (f patientFile) Sync() error     { return f.try(f.File.Sync) }
func (f patientFile) SyncData() error { return f.try(f.File.SyncData) }

func (f patientFile) SyncTo(length int64) (full bool, err error) {
	err = f.try(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f patientFile) Close() error {
	err := f.File.Close()
	if f.frozen.Load() {
		return nil
	}
	return err
}

// A nullFile is an empty file that swallows what is written.
type nullFile struct{}

func (nullFile) Close() error                           { return nil }
func (nullFile) Read([]byte) (int, error)               { return 0, io.EOF }
func (nullFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nullFile) Write(p []byte) (int, error)            { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Preallocate(int64, int64) error         { return nil }
func (nullFile) Stat() (vfs.FileInfo, error)            { return nil, os.ErrNotExist }
func (nullFile) Sync() error                            { return nil }
func (nullFile) SyncTo(int64) (bool, error)             { return true, nil }
func (nullFile) SyncData() error                        { return nil }
func (nullFile) Prefetch(int64, int64) error            { return nil }
func (nullFile) Fd() uintptr                            { return vfs.InvalidFd }
