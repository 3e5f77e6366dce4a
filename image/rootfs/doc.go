// Package rootfs flattens container layers, or a directory, into one EROFS
// filesystem image: a read-only tree that the Linux kernel mounts as it is.
//
// A [Builder] keeps the tree's names and attributes in memory and no file's
// content. AddTar applies one layer over what is there already and appends
// file contents to an unlinked spool file; AddDir remembers where contents lie
// and reads them in place. Finish gives every inode and every file its position;
// from then on [Image.Stream] writes the image from first byte to last, as often
// as it is asked, always the same bytes.
//
// # Layout
//
// Blocks are 4 KiB. Metadata stands first and apart, file contents follow:
//
//	block 0     superblock
//	            inodes of directories, each with the tail of its entries
//	            whole blocks of entries of large directories
//	            inodes of everything else; symbolic links with their target
//	            contents of files, each at a block boundary
//
// Directories are apart from the other inodes because they change at different
// times: a file that grows moves the contents behind it, which alters the block
// addresses in the inodes of files, but no directory. Order is path order in
// every region: a directory, then what it holds, names compared byte by byte.
// File contents never stand in the metadata, so an inode costs 64 bytes.
//
// # Determinism
//
// The bytes depend only on the layers: no clock, no random number, no order of
// a map or of readdir, no name of a user. The build time is zero, the UUID is
// derived from the metadata, padding is zero, and directories that no layer
// describes belong to 0:0 with mode 0755 and time zero. Runs of zeros (from 1 MiB)
// become holes by content, not by how the source happens to store them.
//
// # Ownership and concurrency
//
// A Builder belongs to one goroutine. The Image it returns reads the Builder's
// spool and the directories given to AddDir: it is valid until Builder.Close, and
// may be streamed by several goroutines at once.
package rootfs
