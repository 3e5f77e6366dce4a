package zonetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/zonetest"
)

const (
	budget  = 5 * time.Second
	silence = time.Second // of a node before it is taken for dead; as zone.peer-silence
	slack   = 50 * time.Millisecond
)

// Whatever the owner does, a read takes at most the budget and the origin's time.
func TestAReadNeverTakesLongerThanBudgetAndOrigin(t *testing.T) {
	const origin = 20 * time.Millisecond
	tests := map[string]func(z *zonetest.Zone, i int){
		"killed":                 func(z *zonetest.Zone, i int) { z.Kill(i) },
		"hung":                   func(z *zonetest.Zone, i int) { z.Hang(i) },
		"partitioned":            func(z *zonetest.Zone, i int) { z.Partition([]int{i}) },
		"says wait for ever":     func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysWait) },
		"says nothing for ever":  func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysSilent) },
		"sends 1 KB/s":           func(z *zonetest.Zone, i int) { z.Shape(i, zonetest.Link{Up: 1000}) },
		"sends 20 KB/s":          func(z *zonetest.Zone, i int) { z.Shape(i, zonetest.Link{Up: 20000}) },
		"answers after 3 s":      func(z *zonetest.Zone, i int) { z.Shape(i, zonetest.Link{Latency: 3 * time.Second}) },
		"answers after 300 ms":   func(z *zonetest.Zone, i int) { z.Shape(i, zonetest.Link{Latency: 300 * time.Millisecond}) },
		"falls silent":           func(z *zonetest.Zone, i int) { z.Play(i, zonetest.FallSilent) },
		"busy":                   func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysBusy) },
		"fails":                  func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysFails) },
		"corrupt":                func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysCorrupt) },
		"knows no such block":    func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysNotFound) },
		"its answers get lost":   func(z *zonetest.Zone, i int) { loseFrom(z, i) },
		"its questions get lost": func(z *zonetest.Zone, i int) { loseTo(z, i) },
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 8, Detect: time.Hour, Spread: time.Hour})
				trace(t, z)
				bad := z.Owner(z.ID(0))
				good := except(z, bad)
				fault(z, bad.Index)
				worst := time.Duration(0)
				for _, n := range good[:3] {
					began := time.Now()
					within(t, n, z.ID(0), budget+origin+slack)
					worst = max(worst, time.Since(began))
				}
				t.Logf("%s: at most %v, %d origin reads", name, worst, z.OriginReads(z.ID(0)))
				// A read with little time left has half of it for the peers.
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := good[4].Read(ctx, z.ID(0)); err != nil {
					t.Errorf("a read that has a second: %v", err)
				}
				// Blocks of other owners are not concerned.
				for i := range z.Len() {
					if z.Holders(z.ID(i), 1)[0] != bad && z.Holders(z.ID(i), 1)[0] != good[0] {
						within(t, good[0], z.ID(i), time.Second)
					}
				}
			})
		})
	}
}

func loseFrom(z *zonetest.Zone, i int) {
	for _, n := range except(z, z.Node(i)) {
		z.Net().Lose(z.Node(i).Name, n.Name)
	}
}

func loseTo(z *zonetest.Zone, i int) {
	for _, n := range except(z, z.Node(i)) {
		z.Net().Lose(n.Name, z.Node(i).Name)
	}
}

// The second read of a dead node's block does not wait for it again.
func TestASickPeerIsPassedBy(t *testing.T) {
	for name, fault := range map[string]func(z *zonetest.Zone, i int){
		"hung":   func(z *zonetest.Zone, i int) { z.Hang(i) },
		"killed": func(z *zonetest.Zone, i int) { z.Kill(i) },
		"silent": func(z *zonetest.Zone, i int) { z.Play(i, zonetest.AlwaysSilent) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 4, Blocks: 64, Detect: time.Hour, Spread: time.Hour})
				trace(t, z)
				bad := z.Node(1)
				owned := z.OwnedBy(bad)
				fault(z, 1)
				reader := z.Node(0)
				for range 2 {
					reader.MustRead(t.Context(), z.ID(owned[0]))
					owned = owned[1:]
				}
				began := time.Now()
				few := owned[:4]
				for _, i := range few {
					reader.MustRead(t.Context(), z.ID(i))
				}
				// One of them may try it once more; each on its own would take 4 s.
				if took := time.Since(began); took > silence+400*time.Millisecond {
					t.Errorf("%d reads of a sick peer's blocks took %v", len(few), took)
				}
				z.Heal()
			})
		})
	}
}

// A sick peer that recovers is used again.
func TestAPeerThatRecoversIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 4, Blocks: 64, Detect: time.Hour})
		trace(t, z)
		owned := z.OwnedBy(z.Node(1))
		z.Play(1, zonetest.AlwaysSilent)
		for _, i := range owned[:3] {
			z.Node(0).MustRead(t.Context(), z.ID(i))
		}
		z.Play(1, zonetest.Trick{})
		sleep(time.Minute)
		asked := z.Net().Asks("node00", "node01")
		for _, i := range owned[3:] {
			z.Node(0).MustRead(t.Context(), z.ID(i))
		}
		if again := z.Net().Asks("node00", "node01") - asked; again < len(owned[3:]) {
			t.Errorf("%d asks for %d blocks of a node that has recovered", again, len(owned[3:]))
		}
	})
}

// Mere slowness is no reason to read the origin: a reader of a slow owner waits.
func TestASlowOwnerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 8})
		trace(t, z)
		owner := z.Owner(z.ID(0))
		z.Shape(owner.Index, zonetest.Link{Up: 40_000}) // 1.6 s a block
		readOn(t, z, except(z, owner)[:1])
		if n := z.OriginReads(z.ID(0)); n != 1 {
			t.Errorf("%d origin reads", n)
		}
	})
}

// One slow host does not slow the others down.
func TestOneSlowHostDoesNotDelayTheOthers(t *testing.T) {
	const rate = 12.5e6
	run := func(slow float64) (worst time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			z := zonetest.New(t, zonetest.Options{
				Nodes: 16, Blocks: sized(64, 1024), Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
			})
			trace(t, z)
			z.Shape(5, zonetest.Link{Up: slow, Down: slow})
			took := startAll(t, z, z.Nodes())
			for i, d := range took {
				if i != 5 {
					worst = max(worst, d)
				}
			}
			checkOrigin(t, z, 1, z.Len())
		})
		return worst
	}
	even, uneven := run(rate), run(rate/4)
	ratio := float64(uneven) / float64(even)
	t.Logf("the others take %v, and %v beside a host that is four times slower: %.2f", even, uneven, ratio)
	figure.Report(t, "zonetest.slow_host.others", ratio, "ratio")
	if ratio > 1.5 && figure.Full() { // a small burst is over before anybody has learned who is slow
		t.Errorf("one slow host makes the others %.2f times slower", ratio)
	}
}

// The origin is down: what is cached is served, the rest fails soon and clearly,
// and works again afterwards.
func TestTheOriginIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: 32})
		trace(t, z)
		for i := range 16 {
			z.Node(i%8).MustRead(t.Context(), z.ID(i))
		}
		z.Origin().Fail(block.ErrUnavailable)
		for i := range 16 {
			within(t, z.Node(3), z.ID(i), time.Second)
		}
		for i := 16; i < 32; i++ {
			began := time.Now()
			if _, err := z.Node(3).Read(t.Context(), z.ID(i)); err == nil {
				t.Errorf("block %d comes from nowhere", i)
			}
			if took := time.Since(began); took > budget+slack {
				t.Errorf("the failure took %v", took)
			}
		}
		z.Origin().Fail(nil)
		sleep(30 * time.Second)
		readEverywhere(t, z)
	})
}

// A host that keeps its own slow link busy takes nobody for dead.
func TestABusyHostSuspectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 12.5e6
		z := zonetest.New(t, zonetest.Options{
			Nodes: 8, Blocks: sized(256, 1024), BlockSize: 32 << 10, Link: zonetest.Link{Up: rate, Down: rate}, OriginRate: 4 * rate,
		})
		trace(t, z)
		z.Shape(5, zonetest.Link{Up: rate / 8, Down: rate / 8})
		startAll(t, z, z.Nodes())
		for _, n := range z.Nodes() {
			for _, h := range n.Tier().Health() {
				if h.Failures > 0 {
					t.Errorf("%s holds %d failures against %s: %s", n.Name, h.Failures, h.Node, h.Reason)
				}
			}
		}
		checkOrigin(t, z, 1, z.Len())
	})
}
