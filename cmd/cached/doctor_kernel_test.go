package main

import (
	"errors"
	"testing"
)

func TestDoctorOfTheKernel(t *testing.T) {
	const all = "nodev\tsysfs\nnodev\toverlay\n\text4\n\terofs\nnodev\tfuse\n"
	for _, c := range []struct {
		what     string
		k        kernel
		check    string
		v        verdict
		is, do   string
		findings int
	}{
		{"all there", kernel{root: true, filesystems: all, release: "6.12.0"}, "mount", sound, "EROFS from a file", "", 1},
		{"a major version later", kernel{root: true, filesystems: all, release: "7.0-rc1"}, "mount", sound, "EROFS from a file", "", 1},
		{"too old for files", kernel{root: true, filesystems: all, release: "6.11.9-generic"}, "mount", sound, "loop device (from Linux 6.12 on without one, this is 6.11.9-generic)", "", 1},
		{"much too old", kernel{root: true, filesystems: all, release: "5.15"}, "mount", sound, "loop device", "", 1},
		{"of no version", kernel{root: true, filesystems: all, release: "mine"}, "mount", sound, "loop device", "", 1},
		{"no EROFS", kernel{root: true, filesystems: "nodev\toverlay\n\tnoterofs\n", release: "6.12.0"}, "mount", doubted, "no EROFS", "modprobe erofs", 1},
		{"no overlay", kernel{root: true, filesystems: "\terofs\n", release: "6.12.0"}, "overlay", doubted, "no overlay", "modprobe overlay", 2},
		{"no overlay, EROFS all the same", kernel{root: true, filesystems: "\terofs\n", release: "6.12.0"}, "mount", sound, "EROFS from a file", "", 2},
		{"no FUSE", kernel{fuse: errors.New("no /dev/fuse: modprobe fuse"), root: true, filesystems: all, release: "6.12.0"}, "mount", doubted, "no /dev/fuse: modprobe fuse", "not mounted", 1},
		{"not root, no FUSE", kernel{fuse: errors.New("this user may not open"), fusermount: true, filesystems: all, release: "6.12.0"}, "mount", doubted, "this user may not open", "not mounted", 1},
		{"not root", kernel{fusermount: true, filesystems: all, release: "6.12.0"}, "mount", sound, "by fusermount3", "", 1},
		{"not root, no fusermount3", kernel{filesystems: all, release: "6.12.0"}, "mount", doubted, "fusermount3, which is not here", "fuse3", 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := &doctor{}
			d.mounts(c.k)
			d.check(t, c.check, c.v, c.is, c.do)
			if len(d.found) != c.findings {
				t.Errorf("%d findings, want %d: %+v", len(d.found), c.findings, d.found)
			}
		})
	}
}

func TestThisKernelIsRead(t *testing.T) {
	if k := thisKernel(); !k.knows("proc") || !k.atLeast(2, 6) || k.atLeast(99, 0) {
		t.Errorf("%+v", k)
	}
}
