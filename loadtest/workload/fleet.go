package workload

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
)

// FleetOptions say what a fleet is like; the zero value of each means its default.
type FleetOptions struct {
	Images int
	// Median size of an image in bytes; sizes are log-normal with Sigma. Default:
	// 256 MiB and 0.9, so that one in twenty has more than 1.1 GiB, as the images of
	// loadtest/images have from 134 MB to 1.2 GB.
	Median int64
	Sigma  float64
	// Alike is the share of images of which less than Unique of the bytes are in no
	// other image. Default: 75 % and 5 %, as in AWS Lambda (Brooker et al., "On-demand
	// Container Loading in AWS Lambda", USENIX ATC 2023).
	Alike, Unique float64
	// Bases is how many base images the others are made from. Default: an eighth.
	Bases int
}

// Sizes of images that are made, whatever is drawn.
const (
	minFleetImage = 64 << 10
	maxFleetImage = 10 << 30 // what AWS Lambda allows
)

func (o FleetOptions) complete() (FleetOptions, error) {
	if o.Images < 1 || o.Images > 1_000_000 {
		return o, fmt.Errorf("a fleet of %d images: want 1 to 1000000", o.Images)
	}
	if o.Median == 0 {
		o.Median = 256 << 20
	}
	if o.Sigma == 0 {
		o.Sigma = 0.9
	}
	if o.Alike == 0 {
		o.Alike = 0.75
	}
	if o.Unique == 0 {
		o.Unique = 0.05
	}
	if o.Bases == 0 {
		o.Bases = max(1, o.Images/8)
	}
	switch {
	case o.Median < minFleetImage || o.Median > maxFleetImage:
		return o, fmt.Errorf("a median size of %d bytes: want %d to %d", o.Median, minFleetImage, int64(maxFleetImage))
	case !(o.Sigma > 0 && o.Sigma <= 3):
		return o, fmt.Errorf("sigma %g: want more than 0 and at most 3", o.Sigma)
	case !(o.Alike > 0 && o.Alike <= 1) || !(o.Unique > 0 && o.Unique < 1):
		return o, fmt.Errorf("shares %g and %g: want more than 0 and at most 1", o.Alike, o.Unique)
	case o.Bases < 1 || o.Bases > o.Images:
		return o, fmt.Errorf("%d bases of %d images", o.Bases, o.Images)
	}
	return o, nil
}

// A FleetImage is an image that is made: the whole of its base, then bytes of its own.
type FleetImage struct {
	Name   string
	Base   int // which
	Shared int64
	Own    int64
	seed   uint64
}

// Size returns the image's bytes.
func (i FleetImage) Size() int64 { return i.Shared + i.Own }

// Reader returns the image's bytes, the same ones each time. Half of them compress
// away, as of files of real images a half to two thirds do.
func (i FleetImage) Reader() io.Reader {
	base := &content{rng: Rand(i.seed, fmt.Sprintf("base %d", i.Base)), left: i.Shared}
	own := &content{rng: Rand(i.seed, "own "+i.Name), left: i.Own}
	return io.MultiReader(base, own)
}

// Fleet returns images whose sizes, and bytes in common, are like those of a fleet of
// the field. Every base is that of two images at least, where there are enough, so
// that its bytes are shared.
func Fleet(o FleetOptions, seed uint64) ([]FleetImage, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	rng := Rand(seed, "fleet")
	popularity, err := Zipf(o.Bases, 1)
	if err != nil {
		return nil, err
	}
	sizes := make([]int64, o.Bases)
	for i := range sizes {
		size := float64(o.Median) * math.Exp(rng.NormFloat64()*o.Sigma)
		sizes[i] = int64(min(max(size, minFleetImage), maxFleetImage))
	}
	images := make([]FleetImage, o.Images)
	for i := range images {
		base := i % o.Bases
		if i >= 2*o.Bases {
			base = popularity.Next(rng)
		}
		share := o.Unique * rng.Float64()
		if rng.Float64() >= o.Alike {
			share = o.Unique + (0.95-o.Unique)*rng.Float64()*rng.Float64()
		}
		own := int64(share / (1 - share) * float64(sizes[base]))
		images[i] = FleetImage{Name: fmt.Sprintf("bench-%04d", i), Base: base, Shared: sizes[base], Own: min(own, maxFleetImage), seed: seed}
	}
	return images, nil
}

// content is bytes of which each run of 64 is random in its first half and repeats it
// in its second.
type content struct {
	rng  *rand.Rand
	left int64
	run  [64]byte
	used int // of run; 0: none is left
}

// Read implements [io.Reader].
func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.left))
	for done := 0; done < n; {
		if c.used == 0 {
			for i := 0; i < len(c.run)/2; i += 8 {
				binary.LittleEndian.PutUint64(c.run[i:], c.rng.Uint64())
			}
			copy(c.run[len(c.run)/2:], c.run[:len(c.run)/2])
		}
		k := copy(p[done:n], c.run[c.used:])
		c.used = (c.used + k) % len(c.run)
		done += k
	}
	c.left -= int64(n)
	return n, nil
}
