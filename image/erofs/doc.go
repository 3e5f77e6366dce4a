// Package erofs reads an EROFS image by inode number, as a kernel does: whoever
// holds a number needs no path, and a read of a file is one read of the image.
//
// A nid is the place of an inode in units of 32 bytes, so [Image.Inode] is
// arithmetic and 64 bytes of metadata. [Image.Lookup] searches a directory by
// halves; [Image.ReadAt] turns a range of a file into ranges of the image and
// reads them straight into the caller's memory. Metadata comes through a cache of
// 64 KiB pieces, contents do not.
//
// It reads what image/rootfs writes and what mkfs.erofs writes without
// compression: both inode forms, plain, inline and chunked contents, shared
// attributes. Anything else is [ErrUnsupported].
//
// # Untrusted bytes
//
// The bytes of an image are what their publisher chose. Every number in them is
// checked before it is used; what cannot be is [ErrMalformed], never a panic, an
// endless loop or memory out of proportion.
//
// # Concurrency
//
// All methods may be called concurrently. No lock is held while the source is
// read.
package erofs
