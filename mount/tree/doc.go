// Package tree serves an EROFS image as a read-only FUSE file system: for kernels
// that have no EROFS, and for users who may not mount one.
//
// The kernel keeps what it was told, since an image never changes: names, also
// those that do not exist, attributes, link targets, directories and the pages of
// files have no end of validity. Opening a file does not come here at all. What does
// come is answered from a nid, the place of an inode in the image, which is also
// the FUSE node: no table of open files or inodes, no path walked, and no lock held
// across a read. A read of a file is one read of the image per run of bytes, into
// the buffer that goes to the kernel.
//
// Everything an image keeps is shown: permissions, owners, times to the nanosecond,
// link counts, device numbers, holes, extended attributes with capabilities and
// ACLs. The kernel enforces them. Writes fail with EROFS.
//
// # Errors
//
// What cannot be read is EIO for whoever asked, and a line in the log once for each
// file, with its path. Requests are not given up because a signal came: a page fault
// has no other way to report that than to kill the program.
package tree
