package product

import (
	"encoding/binary"

	"github.com/zonecache/cached/block"
)

// mixed is splitmix64: as uniform as a digest's words.
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ID returns the id that stands for an object: as spread as that of a block, and
// [Number] knows the object from it.
func ID(number uint64) (id block.ID) {
	binary.LittleEndian.PutUint64(id[0:], mixed(number))
	binary.LittleEndian.PutUint64(id[8:], mixed(number+1<<62))
	binary.LittleEndian.PutUint64(id[16:], number)
	binary.LittleEndian.PutUint64(id[24:], mixed(number+1<<63))
	return id
}

// Number returns the object that an id stands for.
func Number(id block.ID) uint64 { return binary.LittleEndian.Uint64(id[16:]) }
