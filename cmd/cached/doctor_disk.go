package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

const (
	slowDisk   = 200 << 20 // bytes a second
	trialBytes = 64 << 20
	trialTime  = 3 * time.Second // for each of what is measured
	trialBlock = 512 << 10       // what L2 reads at a time
	smallWrite = 4 << 10
	trialTries = 32
)

const fasterDisk = "put L2 on NVMe: what it brings back must be faster than the network"

// A pace is how fast a disk does something.
type pace struct {
	rate   float64       // bytes a second
	median time.Duration // of one
	direct bool          // by the disk itself, not by the page cache
}

// errReads is of what was written and cannot be read.
var errReads = errors.New("what was just written cannot be read")

// diskSpeed measures how fast what is in dir is written and read.
func (d *doctor) diskSpeed(dir string) {
	wrote, read, err := tryDisk(dir)
	switch {
	case errors.Is(err, errReads): // but written
	case errors.Is(err, syscall.ENOSPC):
		d.note("disk speed", doubted, "make room", "%v", err)
		return
	case err != nil:
		d.note("disk speed", broken, "the user of the daemon must be able to write there", "%v", err)
		return
	}
	v := sound
	if wrote.rate < slowDisk {
		v = doubted
	}
	d.note("disk speed", v, fasterDisk, "%s/s written and synced, %s of it on the medium in %s",
		humanize.IBytes(uint64(wrote.rate)), humanize.IBytes(smallWrite), wrote.median.Round(time.Microsecond))
	d.noteReads(read, err)
}

func (d *doctor) noteReads(read pace, err error) {
	if err != nil {
		d.note("disk reads", broken, "look for errors of the disk in the kernel's log (dmesg), or give L2 another", "%v", err)
		return
	}
	v, how := sound, "past the page cache"
	switch {
	case !read.direct:
		how = "by the page cache: this file system reads in no other way, the disk may be slower"
	case read.rate < slowDisk:
		v = doubted
	}
	d.note("disk reads", v, fasterDisk, "%s/s read, %s in %s, %s",
		humanize.IBytes(uint64(read.rate)), humanize.IBytes(trialBlock), read.median.Round(time.Microsecond), how)
}

// tryDisk writes a file, reads it, and removes it.
func tryDisk(dir string) (wrote, read pace, err error) {
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return wrote, read, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	// Memory of its own begins with a page, as direct I/O wants it.
	buf, err := unix.Mmap(-1, 0, trialBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return wrote, read, fmt.Errorf("memory to read into: %w", err)
	}
	defer func() { _ = unix.Munmap(buf) }()
	copy(buf, "cached doctor")
	size, wrote, err := tryWrites(f, buf)
	if err != nil {
		return wrote, read, err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return wrote, read, fmt.Errorf("%w: %s: drop from the page cache: %w", errReads, f.Name(), err)
	}
	read, err = tryReads(func(flag int) (writtenFile, error) { return os.OpenFile(f.Name(), os.O_RDONLY|flag, 0) }, buf, size)
	if err != nil {
		return wrote, read, fmt.Errorf("%w: %w", errReads, err)
	}
	return wrote, read, nil
}

// A writtenFile is read to try the disk.
type writtenFile interface {
	io.ReaderAt
	io.Closer
}

// tryWrites writes what trialTime allows of trialBytes until it is on the medium, then
// a little a few times.
func tryWrites(f *os.File, buf []byte) (size int64, p pace, err error) {
	began := time.Now()
	for size < trialBytes && (size == 0 || time.Since(began) < trialTime) {
		n, err := f.Write(buf)
		size += int64(n)
		if err != nil {
			return size, p, err
		}
	}
	if err := f.Sync(); err != nil {
		return size, p, err
	}
	p.rate = float64(size) / time.Since(began).Seconds()
	p.median, err = median(func(i int) error {
		if _, err := f.WriteAt(buf[:smallWrite], int64(i)*smallWrite); err != nil {
			return err
		}
		return f.Sync()
	})
	return size, p, err
}

// tryReads reads all of the file from the disk, where the file system can, then blocks
// of it out of order.
func tryReads(open func(flag int) (writtenFile, error), buf []byte, size int64) (p pace, err error) {
	from, err := openDirect(open, buf)
	if p.direct = err == nil; !p.direct {
		if from, err = open(0); err != nil {
			return p, err
		}
	}
	defer from.Close()
	began, read := time.Now(), int64(0)
	for read < size && (read == 0 || time.Since(began) < trialTime) {
		n, err := from.ReadAt(buf, read)
		read += int64(n)
		if err != nil {
			return p, err
		}
	}
	p.rate = float64(read) / time.Since(began).Seconds()
	blocks := size / trialBlock
	p.median, err = median(func(i int) error {
		_, err := from.ReadAt(buf, int64(i)*7919%blocks*trialBlock) // no two that follow each other
		return err
	})
	return p, err
}

// openDirect opens the file to be read past the page cache. Some file systems refuse that
// when it is opened, others at the first read.
func openDirect(open func(flag int) (writtenFile, error), buf []byte) (writtenFile, error) {
	f, err := open(syscall.O_DIRECT)
	if err != nil {
		return nil, err
	}
	if _, err := f.ReadAt(buf, 0); errors.Is(err, syscall.EINVAL) {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// median is how long one takes of some tries, as many as trialTime allows.
func median(try func(i int) error) (time.Duration, error) {
	var took []time.Duration
	for began := time.Now(); len(took) < trialTries && (len(took) == 0 || time.Since(began) < trialTime); {
		one := time.Now()
		if err := try(len(took)); err != nil {
			return 0, err
		}
		took = append(took, time.Since(one))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
