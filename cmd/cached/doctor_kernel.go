package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/mount/tree"
)

// A kernel is what mounts depend on.
type kernel struct {
	fuse        error  // why this user cannot open the device
	root        bool   // the daemon's user may mount
	fusermount  bool   // who is not root may, by fusermount3
	filesystems string // /proc/filesystems
	release     string // uname -r
}

// thisKernel is that of this host.
func thisKernel() kernel {
	k := kernel{fuse: tree.Device(), root: os.Geteuid() == 0}
	_, err := exec.LookPath("fusermount3")
	k.fusermount = err == nil
	if text, err := os.ReadFile("/proc/filesystems"); err == nil {
		k.filesystems = string(text)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		k.release = unix.ByteSliceToString(name.Release[:])
	}
	return k
}

// mounts says how images can be mounted here.
func (d *doctor) mounts(k kernel) {
	switch {
	case k.fuse != nil:
		d.note("mount", doubted, "until then images are read, not mounted", "%v", k.fuse)
		return
	case !k.root && !k.fusermount:
		d.note("mount", doubted, "install the package fuse3", "who is not root mounts through fusermount3, which is not here")
		return
	case !k.root:
		d.note("mount", sound, "", "FUSE, by fusermount3")
		return
	}
	if !k.knows("overlay") {
		d.note("overlay", doubted, "modprobe overlay", "the kernel knows no overlay now: mounts are read-only (no --overlay, no --runtime-bundle that writes)")
	}
	switch {
	case !k.knows("erofs"):
		d.note("mount", doubted, "modprobe erofs", "the kernel knows no EROFS now: images are mounted by FUSE, which is slower")
	case !k.atLeast(6, 12):
		d.note("mount", sound, "", "EROFS through a loop device (from Linux 6.12 on without one, this is %s)", k.release)
	default:
		d.note("mount", sound, "", "EROFS from a file")
	}
}

// knows reports whether a kind of file system can be mounted without loading a module.
func (k kernel) knows(kind string) bool {
	for line := range strings.Lines(k.filesystems) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == kind { // after nodev, or alone
			return true
		}
	}
	return false
}

// atLeast reports whether this kernel is of that version or a later one.
func (k kernel) atLeast(major, minor int) bool {
	var a, b int
	n, _ := fmt.Sscanf(k.release, "%d.%d", &a, &b) // what follows does not matter
	return n == 2 && (a > major || a == major && b >= minor)
}
