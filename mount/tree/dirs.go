package tree

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/zonecache/cached/image/erofs"
)

// OpenDir implements fuse.RawFileSystem. As with Open, ENOSYS makes the kernel open
// directories without us and keep what it has read of them.
func (f *fileSystem) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.ENOSYS
}

// ReadDir implements fuse.RawFileSystem.
func (f *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.list(in, func(d erofs.Dirent) bool { return out.AddDirEntry(entry(d)) })
}

// ReadDirPlus implements fuse.RawFileSystem: names with what Lookup says of each.
func (f *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.list(in, func(d erofs.Dirent) bool {
		// The kernel counts no lookup for the dots, and an inode that cannot be read
		// must not hide the names beside it: whoever asks for it will hear.
		var i erofs.Inode
		known := d.Name != "." && d.Name != ".."
		if known {
			var err error
			i, err = f.img.Inode(f.ctx(), d.Nid)
			known = err == nil
		}
		e := out.AddDirLookupEntry(entry(d))
		if e != nil && known {
			f.enter(in.NodeId, d.Name, i, e)
		}
		return e != nil
	})
}

func entry(d erofs.Dirent) fuse.DirEntry {
	return fuse.DirEntry{Name: d.Name, Mode: d.Type, Ino: d.Nid, Off: uint64(d.Next)}
}

// list passes the entries from in's position on to add until it has no more room.
func (f *fileSystem) list(in *fuse.ReadIn, add func(erofs.Dirent) bool) fuse.Status {
	dir, err := f.inode(in.NodeId)
	if err != nil {
		return f.status(in.NodeId, "readdir", err)
	}
	for d, err := range f.img.ReadDir(f.ctx(), dir, int64(in.Offset)) {
		if err != nil {
			return f.status(in.NodeId, "readdir", err)
		}
		if !add(d) {
			break
		}
	}
	return fuse.OK
}
