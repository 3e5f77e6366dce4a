package placement

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

// The algorithms the ring was chosen among, as plainly as they can be written, for
// members of equal weight. Each returns a function from a random key to the index
// of its owner in names. See docs/adr/0006-ring.md.
var rivals = []struct {
	name  string
	build func(names []string) func(key uint64) int
}{
	{"hash ring, 160 points each", func(names []string) func(uint64) int { return hashRing(names, 160) }},
	{"hash ring, 1000 points each", func(names []string) func(uint64) int { return hashRing(names, 1000) }},
	{"hash ring, 100 points each, 2^18 slots, loads <= 1.08", boundedRing},
	{"multi-probe, 21 probes", multiProbe},
	{"rendezvous", rendezvous},
	{"maglev, 65537 slots", func(names []string) func(uint64) int { return maglev(names, 65537) }},
	{"maglev, 1048573 slots", func(names []string) func(uint64) int { return maglev(names, 1048573) }},
	{"slots drawn in turn (the ring)", drawn},
}

// TestProveRingRivals measures what docs/adr/0006-ring.md states.
func TestProveRingRivals(t *testing.T) {
	if !figure.Full() {
		t.Skip("a comparison for docs/adr/0006-ring.md; CACHED_PROVE=1 runs it")
	}
	const keys = 4 << 20
	key := func(i int) uint64 { return mix(uint64(i)) }
	for _, n := range []int{10, 100, 1000} {
		names := make([]string, n)
		for i, m := range equals(n) {
			names[i] = m.Name
		}
		for _, rival := range rivals {
			start := time.Now()
			owner := rival.build(names)
			built := time.Since(start)
			less := rival.build(names[:n-1])
			load, moved := make([]int, n), 0
			start = time.Now()
			for i := range keys {
				load[owner(key(i))]++
			}
			lookup := time.Since(start)
			for i := range keys {
				if owner(key(i)) != less(key(i)) {
					moved++
				}
			}
			t.Logf("%4d members, %-54s max/mean %.3f, moved %.3f of a share, lookup %4d ns, built in %v", n, rival.name,
				float64(slices.Max(load))*float64(n)/keys, float64(moved)/float64(load[n-1]), lookup.Nanoseconds()/keys, built.Round(time.Millisecond/10))
		}
	}
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func seed(name string) uint64 {
	sum := block.Sum([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

type point struct {
	at    uint64
	owner int
}

// points returns the points of a hash ring, sorted, and for each key's first bits
// where to begin to look.
func points(names []string, each int) ([]point, []int32, int) {
	all := make([]point, 0, len(names)*each)
	for i, name := range names {
		for j := range each {
			all = append(all, point{mix(seed(name) + uint64(j)*0x9e3779b97f4a7c15), i})
		}
	}
	slices.SortFunc(all, func(a, b point) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	shift := 64 - bits.Len(uint(len(all)))
	index := make([]int32, 1<<(64-shift)+1)
	at := 0
	for i := range index {
		for at < len(all) && all[at].at>>shift < uint64(i) {
			at++
		}
		index[i] = int32(at)
	}
	return all, index, shift
}

func successor(all []point, index []int32, shift int, key uint64) int {
	at := int(index[key>>shift])
	for at < len(all) && all[at].at < key {
		at++
	}
	if at == len(all) {
		return 0
	}
	return at
}

func hashRing(names []string, each int) func(uint64) int {
	all, index, shift := points(names, each)
	return func(key uint64) int { return all[successor(all, index, shift, key)].owner }
}

func boundedRing(names []string) func(uint64) int {
	const slots = 1 << 18
	all, index, shift := points(names, 100)
	table, load := make([]uint16, slots), make([]int, len(names))
	limit := int(LoadBound*slots/float64(len(names))) + 1
	for s := range table {
		at := successor(all, index, shift, mix(uint64(s)+1))
		for load[all[at].owner] >= limit {
			at = (at + 1) % len(all)
		}
		table[s] = uint16(all[at].owner)
		load[all[at].owner]++
	}
	return func(key uint64) int { return int(table[key>>(64-18)]) }
}

func multiProbe(names []string) func(uint64) int {
	all, index, shift := points(names, 1)
	return func(key uint64) int {
		best, owner := ^uint64(0), 0
		for i := range uint64(21) {
			probe := mix(key + i*0x9e3779b97f4a7c15)
			p := all[successor(all, index, shift, probe)]
			if d := p.at - probe; d < best {
				best, owner = d, p.owner
			}
		}
		return owner
	}
}

func rendezvous(names []string) func(uint64) int {
	seeds := make([]uint64, len(names))
	for i, name := range names {
		seeds[i] = seed(name)
	}
	return func(key uint64) int {
		best, owner := uint64(0), 0
		for i, s := range seeds {
			if score := mix(key ^ s); score > best {
				best, owner = score, i
			}
		}
		return owner
	}
}

func maglev(names []string, slots int) func(uint64) int {
	table, next := make([]int32, slots), make([]uint64, len(names))
	for i := range table {
		table[i] = -1
	}
	for filled := 0; filled < slots; {
		for i, name := range names {
			s := seed(name)
			offset, skip := s%uint64(slots), mix(s)%uint64(slots-1)+1
			for {
				at := (offset + next[i]*skip) % uint64(slots)
				next[i]++
				if table[at] < 0 {
					table[at] = int32(i)
					break
				}
			}
			if filled++; filled == slots {
				break
			}
		}
	}
	return func(key uint64) int { return int(table[key%uint64(slots)]) }
}

func drawn(names []string) func(uint64) int {
	members := make([]Member, len(names))
	index := make(map[string]int)
	for i, name := range names {
		members[i] = Member{Name: name, Weight: 1}
		index[name] = i
	}
	r := NewRing(members)
	return func(key uint64) int { return r.draws[r.slots[key&slotMask]].member }
}
