// Package unpack makes a directory of a code package: a zip or a tar archive, the
// latter plain, gzip or zstd, told apart by their bytes. It does so while the archive
// is still on its way.
//
// The directory of a zip archive is read first, then its entries side by side, in
// the order they lie in. A tar archive is a stream: it is unpacked as it comes, and
// its files are written beside the decompressor.
//
// # Whole or not at all
//
// The tree is made in a sibling of the directory, with a name that begins with a
// dot, and takes the directory's place by one rename. Whatever goes wrong, the directory is what
// it was, and the sibling is removed.
//
// # Nothing outside
//
// Archives are not trusted. Names are relative and have no "..", everything is
// opened beneath an [os.Root], symbolic links are made last, so that nothing is
// written through one, and only where they cannot lead out. Hard links name earlier
// files of the archive. Devices, pipes and sockets are refused. Permissions and times
// are kept, set-id and sticky bits, owners and extended attributes are not. What an archive may
// unpack to is bounded in bytes and in entries.
package unpack
