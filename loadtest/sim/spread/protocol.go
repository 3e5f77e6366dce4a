package spread

import "fmt"

// A Protocol names how an image spreads.
type Protocol string

// The protocols; each says of itself what it is.
const (
	Cached     Protocol = "cached"
	CachedTree Protocol = "cached-tree"
	Registry   Protocol = "registry"
	Spegel     Protocol = "spegel"
	DADI       Protocol = "dadi"
	Dragonfly  Protocol = "dragonfly"
	Kraken     Protocol = "kraken"
	FaaSNet    Protocol = "faasnet"
)

// All are the protocols, the product's first.
var All = []Protocol{Cached, CachedTree, FaaSNet, Kraken, Dragonfly, DADI, Spegel, Registry}

// ParseProtocol reads the name of a protocol.
func ParseProtocol(name string) (Protocol, error) {
	if _, ok := protocols[Protocol(name)]; !ok {
		return "", fmt.Errorf("protocol %q: want one of %v", name, All)
	}
	return Protocol(name), nil
}

// About says what the protocol is in a line.
func (p Protocol) About() string { return protocols[p].about }

// A recipe makes a protocol.
type recipe struct {
	about    string
	pieces   func(z *Zone) []int // the sizes of what it moves
	heldBack func(z *Zone) int   // bytes of a piece passed on only when all of it is here
	make     func(s *sim) protocol
}

var protocols = map[Protocol]recipe{
	Cached: {
		about:  "the product: ring, desks and orders of package placement",
		pieces: (*Zone).blocks, heldBack: verified, make: newCached,
	},
	CachedTree: {
		about:  "the product with zone.distribution: tree: placement's Function Tree, blocks passed on as they come",
		pieces: (*Zone).blocks, heldBack: verified, make: newFunctionTree,
	},
	FaaSNet: {
		about:  "Function Tree (USENIX ATC 2021): one binary tree an image, blocks of 512 KiB on demand, the root reads the registry",
		pieces: blocksOf(512 << 10), heldBack: verified, make: newFunctionTree,
	},
	DADI: {
		about:  "DADI (USENIX ATC 2020): a tree of hosts for each layer below dedicated root nodes, blocks on demand",
		pieces: (*Zone).blocks, heldBack: verified, make: newDADI,
	},
	Kraken: {
		about:  "Kraken: a random graph of degree 10 by a tracker, pieces of 4 MiB, rarest first, five origins that have the image already",
		pieces: blocksOf(4 << 20), heldBack: everything, make: newKraken,
	},
	Dragonfly: {
		about:  "Dragonfly 2: a scheduler gives each peer four parents, pieces of 4 MiB, three seed peers read the source",
		pieces: blocksOf(4 << 20), heldBack: everything, make: newDragonfly,
	},
	Spegel: {
		about:  "as Spegel does: a whole layer from a node that holds it, from the registry where none is found within 20 ms",
		pieces: (*Zone).layers, heldBack: everything, make: newSpegel,
	},
	Registry: {
		about:  "every host pulls every layer from the registry, three at a time",
		pieces: (*Zone).layers, heldBack: everything, make: newRegistry,
	},
}

func blocksOf(size int) func(*Zone) []int {
	return func(z *Zone) []int { return cut(z.Total(), size) }
}

// verified is what block.Arrival holds back: a block's last 4 KiB.
func verified(*Zone) int { return 4 << 10 }

// everything is store and forward.
func everything(z *Zone) int { return int(z.Total()) }
