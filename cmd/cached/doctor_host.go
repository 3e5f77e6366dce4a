package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// What a host should have.
const (
	fewDescriptors = 1 << 16
)

// memory compares what L1 takes with what there is: for this container, or the machine.
func (d *doctor) memory() {
	need := int64(d.cfg.L1.Size) + int64(d.cfg.L1.Size)/4 + 128<<20
	limit, what := memoryOfMachine(), "this machine has"
	if c, ok := cgroupLimit(); ok && c < limit {
		limit, what = c, "this control group may use"
	}
	v := sound
	if need > limit {
		v = broken
	}
	d.note("memory", v, "lower --l1-size, or raise the limit", "an L1 of %s takes up to %s of the %s that %s",
		humanize.IBytes(uint64(d.cfg.L1.Size)), humanize.IBytes(uint64(need)), humanize.IBytes(uint64(limit)), what)
}

// cgroupLimit is what the control group of this process may use.
func cgroupLimit() (int64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return n, err == nil // "max" is no limit
	}
	return 0, false
}

func (d *doctor) descriptors() {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return
	}
	v := sound
	if l.Max < fewDescriptors {
		v = doubted
	}
	d.note("descriptors", v, "LimitNOFILE=1048576 in the unit, or ulimit -n", "this process may have %d files and connections", l.Max)
}

// disk looks at the room for L2 and at how fast it is written.
func (d *doctor) disk() {
	if d.cfg.L2.Size == 0 {
		d.note("disk", sound, "", "L2 is off")
		return
	}
	dir := d.cfg.L2.Dir
	if err := prepareDirs(d.cfg); err != nil {
		do := "mount the disk, or name another directory"
		if errors.Is(err, os.ErrPermission) {
			do = "give the directory to the user of the daemon (cached own DIR --user UID:GID)"
		}
		d.note("disk", broken, do, "%v", err)
		return
	}
	room, fs, err := d.cfg.L2.room()
	if err != nil {
		d.note("disk", broken, "", "%s: %v", dir, err)
		return
	}
	want := int64(d.cfg.L2.Size) + int64(d.cfg.L2.MinFree)
	switch {
	case fs.Type == unix.TMPFS_MAGIC:
		d.note("disk", doubted, "give --l2-dir a directory on NVMe", "%s is in memory: L2 takes what L1 could use, and is empty after a reboot", dir)
	case room < want:
		d.note("disk", doubted, "lower --l2-size, or make room: L2 keeps to what is free", "%s has room for %s, L2 and its reserve want %s", dir,
			humanize.IBytes(uint64(room)), humanize.IBytes(uint64(want)))
	default:
		d.note("disk", sound, "", "%s has room for %s, L2 and its reserve want %s", dir, humanize.IBytes(uint64(room)), humanize.IBytes(uint64(want)))
	}
	d.diskSpeed(dir)
}

// usedBelow is what the files below dir take.
func usedBelow(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be seen is not counted
		}
		if fi, err := e.Info(); err == nil {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok && fi.Mode().IsRegular() {
				bytes += st.Blocks * 512
			}
		}
		return nil
	})
	return bytes
}
