package day

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/zonecache/cached/loadtest/workload"
)

// What is known of real images, from those of loadtest/images.
const (
	// rawBlock is the bytes of an image for each of its blocks: flask has 956 of 134 MB.
	rawBlock = 140 << 10
	// storedBlock is what a block that a start reads has in stored bytes: 52 KB, of the
	// 1,374 blocks of the recorded starts.
	storedBlock = 51 << 10
	leastBlock  = 4 << 10
	mostBlock   = 512 << 10
	// essential is the share of an image's blocks that a start reads: 0.24 of flask's 956,
	// 0.26 of node's 1,635, 0.15 of pyml's 5,892.
	essential = 0.22
)

// What is made up, since nobody publishes it.
const (
	// common is the part of what a start reads of its base that all images of the base
	// read, such as an interpreter; the rest is drawn for each image.
	common = 0.6
	// ownRead is the share of an image's own blocks that a start reads.
	ownRead = 0.5
	// patched is the share of a base's blocks that its next version replaces: 0.9 % where
	// one package of many is touched (docs/adr/0001-block-size-and-cut.md).
	patched = 0.009
)

// A fleet is the images of a zone, as lists of what starts of them read.
type fleet struct {
	rng    *rand.Rand
	bases  [][]uint32 // the blocks of each base
	images []imageOf
	sizes  []int32 // of every block there ever was
}

type imageOf struct {
	base   int
	places []uint32 // of the base's blocks, those that are read
	own    []uint32 // its own blocks that are read
	size   int64    // raw bytes of its own
}

func newFleet(images int, seed uint64) (*fleet, error) {
	made, err := workload.Fleet(workload.FleetOptions{Images: images}, seed)
	if err != nil {
		return nil, fmt.Errorf("day: %w", err)
	}
	f := &fleet{rng: workload.Rand(seed, "blocks")}
	for _, img := range made {
		for img.Base >= len(f.bases) {
			f.bases = append(f.bases, nil)
		}
		if f.bases[img.Base] == nil {
			f.bases[img.Base] = f.fresh(int(img.Shared/rawBlock) + 1)
		}
	}
	kernel := make([]map[uint32]bool, len(f.bases))
	for _, img := range made {
		base := f.bases[img.Base]
		reads := max(1, int(essential*float64(len(base))))
		if kernel[img.Base] == nil {
			kernel[img.Base] = f.some(len(base), int(common*float64(reads)), nil)
		}
		i := imageOf{base: img.Base, size: img.Own}
		all := f.some(len(base), reads, kernel[img.Base])
		for place := range uint32(len(base)) { // in the image's order, as most programs read
			if all[place] {
				i.places = append(i.places, place)
			}
		}
		f.images = append(f.images, i)
		f.publish(len(f.images) - 1)
	}
	return f, nil
}

// some draws places until there are n, beside those that are given.
func (f *fleet) some(of, n int, given map[uint32]bool) map[uint32]bool {
	places := make(map[uint32]bool, n)
	for p := range given {
		places[p] = true
	}
	for len(places) < min(n, of) {
		places[uint32(f.rng.IntN(of))] = true
	}
	return places
}

// fresh makes blocks that nothing else has.
func (f *fleet) fresh(n int) []uint32 {
	blocks := make([]uint32, n)
	for i := range blocks {
		blocks[i] = uint32(len(f.sizes))
		size := math.Exp(f.rng.NormFloat64()*0.7-0.245) * storedBlock // log-normal with that mean
		f.sizes = append(f.sizes, int32(min(max(size, leastBlock), mostBlock)))
	}
	return blocks
}

// publish makes the next version of an image: what it has of its own is new.
func (f *fleet) publish(image int) {
	i := &f.images[image]
	i.own = f.fresh(int(ownRead*float64(i.size)/rawBlock) + 1)
}

// patch makes the next version of a base, which its images have at once.
func (f *fleet) patch(base int) {
	blocks := f.bases[base]
	n := int(patched*float64(len(blocks))) + 1
	for _, b := range f.fresh(n) {
		blocks[f.rng.IntN(len(blocks))] = b
	}
}

// start yields the blocks that a start of an image reads.
func (f *fleet) start(image int, yield func(b uint32)) {
	i := &f.images[image]
	base := f.bases[i.base]
	for _, p := range i.places {
		yield(base[p])
	}
	for _, b := range i.own {
		yield(b)
	}
}
