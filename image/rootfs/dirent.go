package rootfs

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// A dirent is an entry of a directory that is laid out.
type dirent struct {
	name string
	ino  *inode
}

// sortDir turns the names of dir into a sorted list with "." and "..", as the
// format wants it, byte by byte.
func sortDir(dir, parent *inode) {
	m := dir.more
	m.sorted = make([]dirent, 0, len(m.names)+2)
	m.sorted = append(m.sorted, dirent{".", dir}, dirent{"..", parent})
	for name, e := range m.names {
		m.sorted = append(m.sorted, dirent{name, e.ino})
	}
	m.names = nil
	slices.SortFunc(m.sorted, func(a, b dirent) int { return cmp.Compare(a.name, b.name) })
}

// direntBlock returns how many entries from the start of list fit into one block,
// and the bytes they take.
func direntBlock(list []dirent) (int, int) {
	used := 0
	for i, d := range list {
		n := direntSize + len(d.name)
		if used+n > blockSize {
			return i, used
		}
		used += n
	}
	return len(list), used
}

// measureDir sets the size of dir's entries, and where the last, partly filled
// block begins, which may stand behind the inode.
func measureDir(dir *inode) {
	m := dir.more
	dir.size = 0
	for at := 0; at < len(m.sorted); {
		n, used := direntBlock(m.sorted[at:])
		if at+n < len(m.sorted) || used == blockSize {
			dir.size += blockSize
			m.tail = at + n
		} else {
			dir.size += int64(used)
			m.tail = at
		}
		at += n
	}
}

// appendDirents appends entries that fill at most one block: the fixed parts, then
// the names.
func appendDirents(p []byte, list []dirent) []byte {
	off := len(list) * direntSize
	for _, d := range list {
		p = le.AppendUint64(p, uint64(d.ino.slot))
		p = le.AppendUint16(p, uint16(off))
		p = append(p, fileType(d.ino.mode), 0)
		off += len(d.name)
	}
	for _, d := range list {
		p = append(p, d.name...)
	}
	return p
}

// fileType is the type of a directory entry (EROFS_FT_*, as in readdir).
func fileType(mode uint16) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 1
	case unix.S_IFDIR:
		return 2
	case unix.S_IFCHR:
		return 3
	case unix.S_IFBLK:
		return 4
	case unix.S_IFIFO:
		return 5
	case unix.S_IFLNK:
		return 7
	}
	return 0
}
