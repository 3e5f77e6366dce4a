package mount

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// occupied is an error where an image is mounted on dir already, whatever the records of
// this state directory say: the kernel's table knows those of others.
func occupied(dir string) error {
	list, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != dir, false })
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for _, i := range list {
		if home := homeOf(i); home != "" {
			return occupiedBy(dir, home)
		}
		if !strings.HasPrefix(i.Source, sourceName("")) || !strings.HasPrefix(i.FSType, "fuse") {
			continue
		}
		by := "a process that cannot be seen from here"
		if pid := serverOf(i.Minor); pid != 0 {
			by = fmt.Sprintf("process %d", pid)
		}
		return fmt.Errorf("mount: %s is mounted on %s already, by %s with another --state-dir: cached umount there", strings.TrimPrefix(i.Source, sourceName("")), dir, by)
	}
	return nil
}

// occupiedBy says whose mount it is of which the layers are in home.
func occupiedBy(dir, home string) error {
	r, err := load(home)
	if err != nil {
		return fmt.Errorf("mount: an image is mounted on %s already, without a record in %s: umount %s", dir, home, dir)
	}
	if r.Dir != dir {
		return fmt.Errorf("mount: %s is mounted on %s already, bound there from %s: umount %s", r.Image, dir, r.Dir, dir)
	}
	by := fmt.Sprintf("process %d", r.PID)
	if !r.Alive() {
		by += ", which has died,"
	}
	return fmt.Errorf("mount: %s is mounted on %s already, by %s with another --state-dir: cached umount --state-dir %s %s", r.Image, dir, by, filepath.Dir(home), dir)
}

// homeOf returns the directory of the record of a mount that consists of layers; "": it
// is none of these.
func homeOf(i *mountinfo.Info) string {
	switch i.FSType {
	case "erofs":
		file := i.Source
		if loop, is := strings.CutPrefix(file, "/dev/"); is {
			name, _ := os.ReadFile(filepath.Join("/sys/block", loop, "loop/backing_file"))
			file = strings.TrimSpace(string(name))
		}
		if layer := filepath.Dir(file); file == imagePath(layer) && filepath.Base(layer) == "file" {
			return filepath.Dir(layer)
		}
	case "overlay":
		for option := range strings.SplitSeq(i.VFSOptions, ",") {
			if name, lower, _ := strings.Cut(option, "="); strings.HasPrefix(name, "lowerdir") && filepath.Base(lower) == "lower" {
				if _, err := load(filepath.Dir(lower)); err == nil { // others have a lower, too
					return filepath.Dir(lower)
				}
			}
		}
	}
	return ""
}

// serverOf returns the process that serves a FUSE file system, which the kernel tells
// since Linux 6.12; 0: none that can be seen.
func serverOf(minor int) int {
	line := []byte(fmt.Sprintf("fuse_connection:\t%d\n", minor))
	devices, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, d := range devices {
		if to, err := os.Readlink(d); err != nil || to != "/dev/fuse" {
			continue
		}
		process := filepath.Dir(filepath.Dir(d))
		info, _ := os.ReadFile(filepath.Join(process, "fdinfo", filepath.Base(d)))
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil && bytes.Contains(info, line) {
			return pid
		}
	}
	return 0
}
