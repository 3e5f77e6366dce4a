package zonetest_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

var chaosSeed = flag.Uint64("chaos.seed", 0, "seed of TestChaos; 0: two fixed ones, and a random one where goals are proven")

// Random kills, hangs, partitions, slow links, lies, joins and leaves under load:
// no wrong byte, no failed read, nothing left behind.
func TestChaos(t *testing.T) {
	seeds := []uint64{1, 2}
	if figure.Full() {
		seeds = append(seeds, rand.Uint64())
	}
	if *chaosSeed != 0 {
		seeds = []uint64{*chaosSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Logf("again with: go test ./internal/zonetest -run TestChaos -chaos.seed=%d", seed)
			c := &chaos{t: t, rng: rand.New(rand.NewPCG(seed, 1)), seed: seed, length: time.Duration(sized(60, 1800)) * time.Second}
			synctest.Test(t, c.run)
		})
	}
}

type chaos struct {
	t      *testing.T
	rng    *rand.Rand
	seed   uint64
	length time.Duration
	z      *zonetest.Zone
	bad    map[int]string // what is wrong with a node
	liars  []*zonetest.Node
	done   map[string]int
}

const (
	chaosNodes = 12
	chaosSpare = 2
	chaosSick  = 4 // nodes something is wrong with at once, at most
)

func (c *chaos) run(t *testing.T) {
	c.t = t
	c.z = zonetest.New(t, zonetest.Options{
		Nodes: chaosNodes, Spare: chaosSpare, Blocks: 256, BlockSize: 32 << 10, Seed: c.seed,
		L1: zonetest.Bounded, L1Blocks: 24, L2: zonetest.Disk, Link: zonetest.Link{Up: 5e6, Down: 5e6},
	})
	c.bad, c.done = map[int]string{}, map[string]int{}
	for i := chaosNodes; i < chaosNodes+chaosSpare; i++ {
		c.bad[i] = "away"
	}
	synctest.Wait()
	base, _ := goroutines()
	var all []*zonetest.Node
	for i := range chaosNodes + chaosSpare {
		all = append(all, c.z.Node(i))
	}
	l := startLoad(t, c.z, all, 3, 500*time.Millisecond, c.seed)
	for end := time.Now().Add(c.length); time.Now().Before(end); {
		sleep(time.Duration(c.rng.IntN(4000)) * time.Millisecond)
		c.happens()
	}
	c.z.Heal()
	for i := range c.bad {
		c.z.Shape(i, zonetest.Link{Up: 5e6, Down: 5e6})
	}
	l.end()
	sleep(time.Minute) // what lingers goes
	synctest.Wait()
	if n, stacks := goroutines(); n > base {
		t.Errorf("%d goroutines, %d before:\n%s", n, base, stacks)
	}
	if d := time.Duration(l.slowest.Load()); d > budget+time.Second {
		t.Errorf("a read took %v", d)
	}
	checkBlame(t, c.z, c.liars...)
	served := c.z.Served()
	t.Logf("%d reads, %d failed, slowest %v; %d from L1, %d L2, %d L3, %d L4; faults %v; blamed %v",
		l.reads.Load(), l.failed.Load(), time.Duration(l.slowest.Load()),
		served.L1.Blocks, served.L2.Blocks, served.L3.Blocks, served.L4.Blocks, c.done, c.z.Blamed())
	t.Logf("%+v", c.z.Stats())
	figure.Report(t, fmt.Sprintf("zonetest.chaos.%d.failed_reads", c.seed), float64(l.failed.Load()), "reads")
	figure.Report(t, fmt.Sprintf("zonetest.chaos.%d.wrong_blocks", c.seed), float64(c.z.Wrong()), "blocks")
	figure.Report(t, fmt.Sprintf("zonetest.chaos.%d.origin_share", c.seed), float64(served.L4.Blocks)/float64(l.reads.Load()), "ratio")
}

// goroutines counts those of the test: not those of the runtime, which come and go.
func goroutines() (int, string) {
	p := make([]byte, 1<<20)
	stacks := string(p[:runtime.Stack(p, true)])
	return strings.Count(stacks, "synctest bubble"), stacks
}

// happens lets one thing go wrong, or right again.
func (c *chaos) happens() {
	i := c.rng.IntN(chaosNodes + chaosSpare)
	if was, ok := c.bad[i]; ok {
		c.rights(i, was)
		return
	}
	if len(c.bad) >= chaosSick {
		j := slices.Min(slices.Collect(maps.Keys(c.bad)))
		c.rights(j, c.bad[j])
		return
	}
	what := []string{"kill", "kill", "hang", "slow", "lie", "odd", "partition", "leave", "restart", "one way"}[c.rng.IntN(10)]
	c.done[what]++
	switch what {
	case "kill":
		c.z.Kill(i)
	case "hang":
		c.z.Hang(i)
	case "slow":
		c.z.Shape(i, zonetest.Link{Up: 5e4, Down: 5e5, Latency: 20 * time.Millisecond})
	case "lie":
		c.liars = append(c.liars, c.z.Node(i))
		c.z.Play(i, lies[c.rng.IntN(len(lies))])
	case "odd":
		tricks := append([]zonetest.Trick{
			zonetest.AlwaysGone, zonetest.AlwaysBusy, zonetest.AlwaysFails, zonetest.AlwaysWait, zonetest.AlwaysSilent,
			zonetest.RedirectTo(c.z.Node((i + 1) % chaosNodes).Name),
		}, odd...)
		c.liars = append(c.liars, c.z.Node(i)) // a block of a wrong size has wrong bytes
		c.z.Play(i, tricks[c.rng.IntN(len(tricks))])
	case "partition":
		var left, right []int
		for j := range chaosNodes + chaosSpare {
			if c.rng.IntN(2) == 0 {
				left = append(left, j)
			} else {
				right = append(right, j)
			}
		}
		c.z.Partition(left, right)
		sleep(time.Duration(c.rng.IntN(8000)) * time.Millisecond)
		c.z.Partition()
		return
	case "leave":
		c.z.Leave(i)
	case "restart":
		c.z.Restart(i, 500*time.Millisecond)
		return
	case "one way":
		c.z.Net().Lose(c.z.Node(i).Name, c.z.Node((i+1)%chaosNodes).Name)
		sleep(2 * time.Second)
		c.z.Partition()
		return
	}
	c.bad[i] = what
}

func (c *chaos) rights(i int, was string) {
	delete(c.bad, i)
	switch was {
	case "kill", "leave", "away":
		c.z.Join(i)
	case "hang":
		c.z.Wake(i)
	case "slow":
		c.z.Shape(i, zonetest.Link{Up: 5e6, Down: 5e6})
	case "lie", "odd":
		c.z.Play(i, zonetest.Trick{})
	}
}
