package spread

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zonecache/cached/placement"
)

// A Zone describes a burst: hosts that start one image at once. Rates are in bits
// a second. A zero field takes the value that its comment names.
type Zone struct {
	Hosts   int // in the zone, all of which own blocks
	Readers int // of these, the hosts that start the image; 0: all

	Image  int64 // bytes
	Block  int   // bytes of a block; 0: 256 KiB
	Sizes  []int // of the blocks, instead of Image and Block
	Layers int   // of the image, for those who move layers; 0: 8

	Rate        float64       // of a host's link, each way
	OriginRate  float64       // of the origin's link, shared fairly by all reads
	OriginDelay time.Duration // of the origin to its first byte
	Overhead    float64       // bytes of headers that links carry for each byte
	Hop         time.Duration // of a message or a chunk between hosts; 0: 0.1 ms
	Jitter      float64       // share of a hop by which a message may take longer
	Spread      time.Duration // within which the hosts start; 0: 0.2 ms

	Slower func(host int) float64 // by what a host's link is slower; nil: none is
	Unseen bool                   // hosts do not know that links are slow

	Dying      float64       // share of the hosts that die while the image spreads
	Deaths     []int         // or hosts that die, one after the other
	DeathFrom  time.Duration // when the first one does
	DeathEvery time.Duration
	Detect     time.Duration // until a death is known to all; 0: 50 ms

	Memory int64 // bytes a host keeps in memory, oldest dropped first; 0: all
	Disk   Disk  // where it keeps the others; zero: nowhere

	Limits   placement.Limits
	Order    placement.OrderLimits
	Ahead    placement.OrderLimits
	HeldBack int  // bytes of a block passed on only when all of it is verified; 0: 4 KiB, as block.Arrival does
	Window   int  // bytes a send may be ahead of its reader; 0: 128 KiB, at 10 Gb/s 256 KiB, and two chunks
	Strict   bool // a send keeps its place on the wire though it has nothing to send
	Chunk    int  // bytes at least; a sixteenth of a block, from 16 to 256 KiB, where that is more

	Seed uint64
}

// A Disk is a host's: one read at a time.
type Disk struct {
	Rate  float64 // bytes a second
	Delay time.Duration
}

// withDefaults fills in what is not said. block is what the protocol moves.
func (z Zone) withDefaults(heldBack int) Zone {
	set := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	set(&z.Hop, 100*time.Microsecond)
	set(&z.Spread, 200*time.Microsecond)
	set(&z.Detect, 50*time.Millisecond)
	if z.Readers <= 0 || z.Readers > z.Hosts {
		z.Readers = z.Hosts
	}
	if z.HeldBack == 0 {
		z.HeldBack = heldBack
	}
	largest := slices.Max(z.Sizes)
	z.Chunk = max(z.Chunk, min(max(largest/16, 16<<10), 256<<10))
	if z.Window == 0 {
		z.Window = 128 << 10
		if z.Rate >= 10e9 {
			z.Window = 256 << 10
		}
		z.Window = max(z.Window, 2*z.Chunk)
	}
	rate, mean := z.Usual()
	if z.Ahead == (placement.OrderLimits{}) {
		z.Ahead = placement.LookAhead(rate, mean)
	}
	if z.Order == (placement.OrderLimits{}) {
		z.Order = placement.DefaultOrder(rate, mean)
	}
	return z
}

// die chooses the hosts that die, evenly, from a tenth to eight tenths of the least
// time the image takes.
func (z *Zone) die() {
	if z.Dying <= 0 {
		return
	}
	every := max(1, int(1/z.Dying))
	for i := every / 7; i < z.Hosts; i += every {
		z.Deaths = append(z.Deaths, i)
	}
	z.DeathFrom = z.Reachable() / 10
	z.DeathEvery = z.Reachable() * 7 / 10 / time.Duration(max(1, len(z.Deaths)))
}

// Usual returns what placement derives its limits from: the rate of the links in
// Mbit/s and the mean size of the blocks.
func (z *Zone) Usual() (rate uint32, mean int) {
	return uint32(z.Rate / 1e6), int(z.Total()) / len(z.blocks())
}

// blocks returns the sizes of the image's blocks in this zone.
func (z *Zone) blocks() []int {
	if len(z.Sizes) > 0 {
		return z.Sizes
	}
	size := z.Block
	if size == 0 {
		size = 256 << 10
	}
	return cut(z.Image, size)
}

// layers returns the sizes of the image's layers: the first a half, as a base
// image often is, and so on; the last two alike.
func (z *Zone) layers() []int {
	left, n := z.Total(), z.Layers
	if n == 0 {
		n = 8
	}
	var sizes []int
	for i := range n {
		size := left / 2
		if i == n-1 {
			size = left
		}
		if size > 0 {
			sizes = append(sizes, int(size))
		}
		left -= size
	}
	return sizes
}

// Total returns the bytes of the image.
func (z *Zone) Total() int64 {
	if len(z.Sizes) > 0 {
		return z.bytes()
	}
	return z.Image
}

func (z *Zone) bytes() (total int64) {
	for _, n := range z.Sizes {
		total += int64(n)
	}
	return total
}

// Bound returns when all readers can hold the whole image at the earliest, if
// what one sends is what it received before: (1 + floor(log2 N)/M) S/B.
func (z *Zone) Bound() time.Duration {
	n := z.Readers
	if n == 0 {
		n = z.Hosts
	}
	rounds := math.Floor(math.Log2(float64(n)))
	return seconds((1 + rounds/float64(len(z.blocks()))) * float64(z.Total()) * (1 + z.Overhead) * 8 / z.Rate)
}

// Reachable returns the least time the origin leaves: its delay and the bound,
// or its delay and one transfer of the image where its link is the slower one.
func (z *Zone) Reachable() time.Duration {
	origin := seconds(float64(z.Total()) * (1 + z.Overhead) * 8 / z.OriginRate)
	return z.OriginDelay + max(z.Bound(), origin)
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

// cut returns sizes of at most size that add up to total.
func cut(total int64, size int) []int {
	sizes := slices.Repeat([]int{size}, int(total/int64(size)))
	if rest := int(total % int64(size)); rest > 0 {
		sizes = append(sizes, rest)
	}
	return sizes
}

// Varied returns sizes around mean, as a cut by content leaves them, that add up
// to about total.
func Varied(total, mean int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 3))
	var sizes []int
	for total > 0 {
		n := min(total, max(8<<10, int(float64(mean)*(0.4+1.2*rng.Float64()))))
		sizes = append(sizes, max(n, 8<<10))
		total -= n
	}
	return sizes
}

// EveryTenth makes the links of a tenth of the hosts so much slower.
func EveryTenth(slower float64) func(host int) float64 {
	return func(host int) float64 {
		if host%10 == 9 {
			return slower
		}
		return 1
	}
}
