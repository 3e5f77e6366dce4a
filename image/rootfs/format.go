package rootfs

import (
	"encoding/binary"
	"hash/crc32"

	"golang.org/x/sys/unix"
)

// The on-disk format, from the kernel's Documentation/filesystems/erofs.rst and
// fs/erofs/erofs_fs.h. Everything is little-endian.
var le = binary.LittleEndian

const (
	blockBits = 12
	blockSize = 1 << blockBits

	superOffset = 1024
	superSize   = 128
	superMagic  = 0xe0f5e1e2

	compatChecksum  = 0x1
	compatMtime     = 0x2 // inodes hold the time of modification
	incompatChunked = 0x4
	slotSize        = 32 // inodes are addressed in units of this
	inodeSize       = 64 // the extended form; the compact one has no time of its own
	inodeExtended   = 1
	layoutPlain     = 0
	layoutInline    = 2
	layoutChunked   = 4
	chunkIndexed    = 0x20 // 8-byte indexes, which have room for a device
	chunkIndexSize  = 8
	noBlock         = 1<<32 - 1 // a hole, in a chunk index
	direntSize      = 12
	maxBlocks       = 1<<32 - 2
	rootSlot        = blockSize / slotSize
)

// A super is what the superblock says.
type super struct {
	inodes  uint64
	blocks  uint32
	uuid    [16]byte
	chunked bool
}

// encode returns block 0.
func (s super) encode() []byte {
	block := make([]byte, blockSize)
	p := block[superOffset:]
	le.PutUint32(p[0:], superMagic)
	le.PutUint32(p[8:], compatChecksum|compatMtime)
	p[12] = blockBits
	le.PutUint16(p[14:], rootSlot)
	le.PutUint64(p[16:], s.inodes)
	// 24: build time, 8+4 bytes: zero. Inodes have times of their own.
	le.PutUint32(p[36:], s.blocks)
	// 40: first block of metadata: 0, so slots count from the image's start.
	copy(p[48:64], s.uuid[:])
	if s.chunked {
		le.PutUint32(p[80:], incompatChunked)
	}
	// The kernel's CRC32C runs over the rest of the block, checksum zero, and is not inverted at the end.
	le.PutUint32(p[4:], ^crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return block
}

// appendInode appends the inode proper, without what follows it.
func appendInode(p []byte, ino *inode) []byte {
	layout := uint16(layoutPlain)
	addr := ino.block
	switch {
	case ino.more != nil && ino.more.inline:
		layout = layoutInline
	case ino.holes() != nil:
		layout = layoutChunked
		addr = chunkIndexed | uint32(ino.more.holes.chunkBits-blockBits)
	case ino.isType(unix.S_IFCHR) || ino.isType(unix.S_IFBLK):
		addr = ino.rdev
	}
	area := 0
	if n := xattrArea(ino.xattrs()); n > 0 {
		area = (n-xattrHeaderSize)/4 + 1
	}
	p = le.AppendUint16(p, layout<<1|inodeExtended)
	p = le.AppendUint16(p, uint16(area))
	p = le.AppendUint16(p, ino.mode)
	p = le.AppendUint16(p, 0)
	p = le.AppendUint64(p, uint64(ino.size))
	p = le.AppendUint32(p, addr)
	p = le.AppendUint32(p, 0) // a number for 32-bit stat; the kernel uses the slot
	p = le.AppendUint32(p, ino.uid)
	p = le.AppendUint32(p, ino.gid)
	p = le.AppendUint64(p, uint64(ino.mtime))
	p = le.AppendUint32(p, ino.mtimeNs)
	p = le.AppendUint32(p, ino.nlink)
	return append(p, make([]byte, 16)...)
}

// appendChunks appends the chunk indexes of a file with holes; its other chunks
// lie one behind the other.
func appendChunks(p []byte, ino *inode) []byte {
	h := ino.more.holes
	block := ino.block
	for i := range h.chunks {
		p = le.AppendUint32(p, 0) // high bits of the address; device 0, this one
		if h.has(i) {
			p = le.AppendUint32(p, noBlock)
			continue
		}
		p = le.AppendUint32(p, block)
		block += 1 << (h.chunkBits - blockBits)
	}
	return p
}
