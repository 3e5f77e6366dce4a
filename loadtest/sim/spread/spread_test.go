package spread

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
)

// small is a zone in which everything happens and nothing takes long.
func small(changes ...func(*Zone)) Zone {
	return with(store(40, gbit, 16*mib), changes...)
}

func TestEveryHostEndsWithTheImage(t *testing.T) {
	for _, tt := range []struct {
		name string
		zone Zone
	}{
		{"burst", small()},
		{"half of the hosts start", small(func(z *Zone) { z.Readers = 20 })},
		{"deaths", small(dying)},
		{"slow links", small(slowed)},
		{"deaths and slow links", small(dying, slowed)},
		{"spread", small(func(z *Zone) { z.Spread = time.Second })},
		{"little memory, a disk", small(func(z *Zone) { z.Memory, z.Disk = 4*mib, Disk{Rate: 1e9} })},
		{"varied blocks", small(func(z *Zone) { z.Sizes = Varied(16*mib, 150_000, 7) })},
		{"one host", small(func(z *Zone) { z.Hosts = 1 })},
		{"an image smaller than a block", small(func(z *Zone) { z.Image = 1000 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, p := range All {
				r := Run(tt.zone, p)
				if r.Lacking > 0 || len(r.Times) == 0 {
					t.Errorf("%d hosts lack blocks, %d are done: %s%s", r.Lacking, len(r.Times), r, r.Stuck)
				}
				if p == Cached && tt.zone.Dying == 0 && r.ReadsPerBlock != 1 {
					t.Errorf("%.4f origin reads of a block", r.ReadsPerBlock)
				}
			}
		})
	}
}

// The same seed gives the same run, another one another.
func TestARunRepeats(t *testing.T) {
	for _, p := range All {
		run := func(seed uint64) *Result {
			z := small(dying, slowed)
			z.Seed = seed
			r := Run(z, p)
			r.Took = 0
			return r
		}
		first := run(1)
		if again := run(1); !reflect.DeepEqual(first, again) {
			t.Errorf("%s: the same seed gave\n%+v\nand then\n%+v", p, first, again)
		}
		if other := run(2); slices.Equal(first.Times, other.Times) {
			t.Errorf("%s: two seeds gave the same times", p)
		}
	}
}

// What coarser chunks, which large zones are simulated with, change.
func TestCoarseChunksChangeLittle(t *testing.T) {
	if figure.Instrumented {
		t.Skip("compares sizes that an instrumented build is too slow for")
	}
	z := store(100, gbit, 64*mib)
	fine := Run(z, Cached)
	z.Chunk = 64 << 10
	coarse := Run(z, Cached)
	near(t, "the median with chunks of 64 KiB", coarse.Time.P50, fine.Time.P50, .03)
	near(t, "the last host with chunks of 64 KiB", coarse.Time.Max, fine.Time.Max, .05)
}

// What the field's models are known for.
func TestTheFieldInOrder(t *testing.T) {
	z := store(200, gbit, 128*mib)
	if figure.Instrumented {
		z = store(50, gbit, 64*mib)
	}
	z.Chunk = 64 << 10
	last := map[Protocol]float64{}
	for _, p := range All {
		r := Run(z, p)
		last[p] = r.Time.P50 / r.Reachable
		t.Log(r)
	}
	for _, pair := range [][2]Protocol{{Cached, Kraken}, {Cached, CachedTree}, {CachedTree, Registry}, {Kraken, Dragonfly}, {DADI, Registry}, {Dragonfly, Registry}} {
		if last[pair[0]] >= last[pair[1]] {
			t.Errorf("%s takes %.2f, %s %.2f times what is reachable", pair[0], last[pair[0]], pair[1], last[pair[1]])
		}
	}
	near(t, "Spegel, when all start at once,", last[Spegel], last[Registry], .05)
}

// Spegel is good where starts follow each other.
func TestSpegelOfStartsInTurn(t *testing.T) {
	z := store(20, gbit, 16*mib)
	z.Spread = 20 * time.Second
	if spegel, registry := Run(z, Spegel), Run(z, Registry); spegel.ReadsPerBlock > registry.ReadsPerBlock/4 {
		t.Errorf("%.2f origin reads of a layer, %.2f without peers", spegel.ReadsPerBlock, registry.ReadsPerBlock)
	}
}

func TestScenariosAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range Scenarios {
		if sc.Name == "" || sc.About == "" || seen[sc.Name] || sc.Zone.Hosts == 0 || sc.Zone.Total() == 0 || sc.Zone.Rate == 0 || sc.Zone.OriginRate == 0 {
			t.Errorf("%+v", sc)
		}
		seen[sc.Name] = true
		if found, err := Find(sc.Name); err != nil || found.Name != sc.Name {
			t.Errorf("%s: %v", sc.Name, err)
		}
	}
	if _, err := Find("none"); err == nil {
		t.Error("a scenario that is not there was found")
	}
	for _, p := range All {
		if found, err := ParseProtocol(string(p)); err != nil || found != p || p.About() == "" {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := ParseProtocol("none"); err == nil {
		t.Error("a protocol that is not there was found")
	}
	if len(All) != len(protocols) {
		t.Errorf("%d protocols are shown, there are %d", len(All), len(protocols))
	}
}
