package spread

import (
	"fmt"
	"slices"
	"time"
)

// A Scenario is a burst with a name.
type Scenario struct {
	Name  string
	About string
	Zone  Zone
	// Starts of containers, where that is not the number of hosts that read: those on
	// one host share its reads.
	Starts int
	// Theirs is what others publish of such a burst, with its source.
	Theirs string
}

const (
	gbit = 1e9
	mb   = 1_000_000
	mib  = 1 << 20
	gib  = 1 << 30
	ms   = time.Millisecond
)

// store is an object store of the region: it takes 20 ms to the first byte and
// carries what four of the hosts do.
func store(hosts int, rate float64, image int64) Zone {
	return Zone{Hosts: hosts, Image: image, Rate: rate, OriginRate: 4 * rate, OriginDelay: 20 * ms, Seed: 1}
}

func with(z Zone, changes ...func(*Zone)) Zone {
	for _, change := range changes {
		change(&z)
	}
	return z
}

// coarse has chunks four times as large: a quarter of the work, and times that are
// longer by a few hundredths at most (TestCoarseChunksChangeLittle).
func coarse(z *Zone) { z.Chunk = 64 << 10 }

// dying has 5 % of the hosts die while the image spreads.
func dying(z *Zone) { z.Dying = .05 }

// slowed has a tenth of the links four times slower.
func slowed(z *Zone) { z.Slower = EveryTenth(4) }

// Scenarios are all that have a name.
var Scenarios = []Scenario{
	{Name: "start-1g", About: "1,000 hosts at 1 Gb/s read a start's set of 64 MiB", Zone: store(1000, gbit, 64*mib)},
	{Name: "start-10g", About: "the same at 10 Gb/s", Zone: store(1000, 10*gbit, 64*mib)},
	{Name: "start-4000", About: "4,000 hosts at 1 Gb/s read a start's set of 64 MiB", Zone: store(4000, gbit, 64*mib)},
	{Name: "image-1g", About: "1,000 hosts at 1 Gb/s read an image of 1 GiB", Zone: with(store(1000, gbit, gib), coarse)},
	{Name: "image-10g", About: "the same at 10 Gb/s", Zone: with(store(1000, 10*gbit, gib), coarse)},
	{
		Name: "starts-on-1000", About: "4,000 starts at once of a 1.8 GB image on 1,000 hosts at 10 Gb/s, four on each",
		Zone: with(store(1000, 10*gbit, 1800*mb), coarse), Starts: 4000,
	},
	{
		Name: "starts-on-10000", About: "4,000 starts at once of a 1.8 GB image in a zone of 10,000 hosts at 10 Gb/s",
		Zone: with(store(10000, 10*gbit, 1800*mb), coarse, func(z *Zone) { z.Readers = 4000 }),
	},
	{
		Name: "all-10000", About: "10,000 hosts at 10 Gb/s read an image of 1 GiB",
		Zone: with(store(10000, 10*gbit, gib), coarse),
	},
	{
		Name: "faasnet-2500", About: "2,500 containers on 1,000 VMs at 1 Gb/s, an image of 758 MB, all of it",
		Zone: with(store(1000, gbit, 758*mb), coarse), Starts: 2500,
		Theirs: "FaaSNet: 8.3 s, with the start of the containers (USENIX ATC 2021)",
	},
	{
		Name: "dadi-10000", About: "10,000 containers on 1,000 hosts, ten on each, 64 MiB of the image at 1 Gb/s",
		Zone: store(1000, gbit, 64*mib), Starts: 10000,
		Theirs: "DADI: 4 s, with the start of the containers (USENIX ATC 2020)",
	},
	{
		Name: "kraken-2600", About: "3 GB to 2,600 hosts that read and send 300 MB/s, from five times that",
		Zone:   with(store(2600, 2.4*gbit, 3000*mb), coarse, func(z *Zone) { z.OriginRate = 12 * gbit }),
		Theirs: "Kraken: p50, p99, p99.9 of 10, 18, 22 s (README of github.com/uber/kraken)",
	},
	{
		Name: "first-block", About: "1,000 hosts at 10 Gb/s ask for one block at once",
		Zone:   store(1000, 10*gbit, 256<<10),
		Theirs: "a star, in which the owner serves all: 233 to 419 ms",
	},
	{Name: "deaths", About: "as start-1g, 5 % of the hosts die meanwhile, known after 50 ms", Zone: with(store(1000, gbit, 64*mib), dying)},
	{Name: "deaths-image", About: "as image-10g, 5 % of the hosts die meanwhile", Zone: with(store(1000, 10*gbit, gib), coarse, dying)},
	{Name: "slow-links", About: "as start-1g, a tenth of the links four times slower: the others", Zone: with(store(1000, gbit, 64*mib), slowed)},
	{
		Name: "slow-unknown", About: "the same, and no host knows that a link is slow",
		Zone: with(store(1000, gbit, 64*mib), slowed, func(z *Zone) { z.Unseen = true }),
	},
	{Name: "deaths-and-slow", About: "5 % of the hosts die and a tenth of the links are four times slower", Zone: with(store(1000, gbit, 64*mib), dying, slowed)},
	{
		Name: "spread-starts", About: "as start-1g, the starts spread over two seconds",
		Zone: with(store(1000, gbit, 64*mib), func(z *Zone) { z.Spread = 2 * time.Second }),
	},
	{
		Name: "small-memory", About: "as image-10g, hosts keep 64 MiB in memory and the rest on a disk of 1 GB/s",
		Zone: with(store(1000, 10*gbit, gib), coarse, func(z *Zone) { z.Memory, z.Disk = 64*mib, Disk{Rate: 1e9, Delay: 100 * time.Microsecond} }),
	},
	{
		Name: "real-16", About: "as 'make prove-zone' does with real daemons: 16 hosts at 50 Mbit/s, an origin no faster, 128 MiB",
		Zone: Real(16, 50e6, 128*mib),
	},
}

// Find returns the scenario of that name.
func Find(name string) (Scenario, error) {
	i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, fmt.Errorf("scenario %q: there is none of that name", name)
	}
	return Scenarios[i], nil
}

// Real is a zone as loadtest/zone starts it: an origin whose link is no faster
// than a host's, blocks as a cut by content leaves them, and links that carry
// headers of TCP, TLS and HTTP, too.
func Real(hosts int, rate float64, image int) Zone {
	return Zone{
		Hosts: hosts, Sizes: Varied(image, 150_000, 1), Rate: rate, OriginRate: rate, OriginDelay: 3 * ms,
		Spread: 20 * ms, Overhead: 0.02, Seed: 1,
	}
}
