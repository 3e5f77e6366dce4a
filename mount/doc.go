// Package mount makes an image a root filesystem on this host.
//
// A FUSE server in this process exposes the image as one file, and the kernel
// mounts its own EROFS from that file. So names, attributes and all that was read
// before are the kernel's business, and only blocks that are missing cross to this
// process: a read of the file becomes a read of the [Source]. Above that there may
// be an overlay that takes writes.
//
//	DIR                       overlay of UPPER over          (with Options.Overlay)
//	<state>/<key>/lower       EROFS, from the file           (DIR itself without an overlay)
//	<state>/<key>/file        FUSE, with the one file image.erofs
//
// Kernels before 6.12 mount no file systems from files: there a loop device stands
// between. Where the kernel has no EROFS, or for users who are not root, a FUSE
// file system over the same image serves every file itself (mount/tree), and a
// program that starts a virtual machine takes the file alone ([File]).
//
// # Life
//
// The layers live as long as the process that made them serves the file; its end,
// however it comes, is an I/O error for programs that run in the image and leaves
// mounts that any process can take down: each mount has a record in the state
// directory, which [Unmount] reads. [Mount.Unmount] refuses while somebody uses the
// image and says who. After a lazy unmount the process goes on out of sight, with a
// record of its own, for those who use files of the image, and DIR is free.
//
// # Kept
//
// With [Options.Keep] the process holds another mount of the EROFS, which is in no
// mount table. After an unmount there is a [Kept] then: the kernel has the pages that
// were read, and [Kept.Mount] mounts them elsewhere, with a source of its own for what
// is missing.
package mount
