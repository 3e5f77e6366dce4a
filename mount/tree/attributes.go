package tree

import (
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// GetXAttr implements fuse.RawFileSystem.
func (f *fileSystem) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	i, err := f.inode(in.NodeId)
	if err != nil {
		return 0, f.status(in.NodeId, "getxattr", err)
	}
	list, err := f.img.Xattrs(f.ctx(), i)
	if err != nil {
		return 0, f.status(in.NodeId, "getxattr", err)
	}
	for _, x := range list {
		if x.Name == name {
			return give(dest, x.Value)
		}
	}
	return 0, fuse.ENOATTR
}

// ListXAttr implements fuse.RawFileSystem. Names that only root may read are listed
// for root only, as the kernel's own file systems have it.
func (f *fileSystem) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	i, err := f.inode(in.NodeId)
	if err != nil {
		return 0, f.status(in.NodeId, "listxattr", err)
	}
	list, err := f.img.Xattrs(f.ctx(), i)
	if err != nil {
		return 0, f.status(in.NodeId, "listxattr", err)
	}
	var all strings.Builder
	for _, x := range list {
		if in.Uid == 0 || !strings.HasPrefix(x.Name, "trusted.") {
			all.WriteString(x.Name + "\x00")
		}
	}
	return give(dest, all.String())
}

// give copies value to dest, or says how much room it needs.
func give(dest []byte, value string) (uint32, fuse.Status) {
	if len(value) > len(dest) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}
