package disk

import (
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faults makes the disk fail, for segments and index alike.
type faults struct {
	osFiles
	writes atomic.Int32 // errno every write fails with, 0: none
	reads  atomic.Int32 // errno every read of a segment fails with
	free   atomic.Int64 // what Free answers, 0: the truth
}

func errno(v *atomic.Int32) error {
	if e := v.Load(); e != 0 {
		return syscall.Errno(e)
	}
	return nil
}

func (f *faults) Create(path string, size int64) (segmentFile, error) {
	if err := errno(&f.writes); err != nil {
		return nil, err
	}
	file, err := f.osFiles.Create(path, size)
	return faultyFile{file, f}, err
}

func (f *faults) Open(path string) (segmentFile, error) {
	file, err := f.osFiles.Open(path)
	return faultyFile{file, f}, err
}

func (f *faults) Free(dir string) (int64, error) {
	if n := f.free.Load(); n != 0 {
		return n, nil
	}
	return f.osFiles.Free(dir)
}

type faultyFile struct {
	segmentFile
	f *faults
}

func (f faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := errno(&f.f.reads); err != nil {
		return 0, err
	}
	return f.segmentFile.ReadAt(p, off)
}

func (f faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := errno(&f.f.writes); err != nil {
		return 0, err
	}
	return f.segmentFile.WriteAt(p, off)
}

func (f faultyFile) Sync() error {
	if err := errno(&f.f.writes); err != nil {
		return err
	}
	return f.segmentFile.Sync()
}

// indexFaults makes Pebble's writes fail with the error in errno.
type indexFaults struct {
	vfs.FS
	errno atomic.Int32
}

func (f *indexFaults) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return faultyIndexFile{file, f}, nil
}

func (f *indexFaults) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := errno(&f.errno); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(name, c))
}

func (f *indexFaults) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := errno(&f.errno); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.ReuseForWrite(oldname, newname, c))
}

type faultyIndexFile struct {
	vfs.File
	f *indexFaults
}

func (f faultyIndexFile) Write(p []byte) (int, error) {
	if err := errno(&f.f.errno); err != nil {
		n, _ := f.File.Write(p[:len(p)/2]) // as a full disk does: half of it
		return n, err
	}
	return f.File.Write(p)
}

func (f faultyIndexFile) SyncData() error {
	if err := errno(&f.f.errno); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f faultyIndexFile) Sync() error {
	if err := errno(&f.f.errno); err != nil {
		return err
	}
	return f.File.Sync()
}
