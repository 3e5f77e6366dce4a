package zonetest_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/internal/zonetest"
)

// Whatever a node answers, reads succeed in bounded time with a bounded number of
// asks.
func TestForgedRedirects(t *testing.T) {
	tests := map[string]func(z *zonetest.Zone){
		"to a node nobody knows": func(z *zonetest.Zone) { z.Play(1, zonetest.RedirectTo("mallory")) },
		"to nowhere":             func(z *zonetest.Zone) { z.Play(1, zonetest.RedirectTo("")) },
		"to itself":              func(z *zonetest.Zone) { z.Play(1, zonetest.RedirectTo("node01")) },
		"to the asker":           func(z *zonetest.Zone) { z.Play(1, zonetest.RedirectTo("node00")) },
		"to a node that left":    func(z *zonetest.Zone) { z.Kill(7); z.Play(1, zonetest.RedirectTo("node07")) },
		"to a node that hangs":   func(z *zonetest.Zone) { z.Hang(7); z.Play(1, zonetest.RedirectTo("node07")) },
		"in a loop of two": func(z *zonetest.Zone) {
			z.Play(1, zonetest.RedirectTo("node02"))
			z.Play(2, zonetest.RedirectTo("node01"))
		},
		"in a loop of three":       loopOf(1, 2, 3),
		"in a loop of all":         loopOf(0, 1, 2, 3, 4, 5, 6, 7),
		"gone":                     func(z *zonetest.Zone) { z.Play(1, zonetest.AlwaysGone) },
		"gone to itself":           func(z *zonetest.Zone) { z.Play(1, zonetest.GoneTo("node01")) },
		"gone to the asker":        func(z *zonetest.Zone) { z.Play(1, zonetest.GoneTo("node00")) },
		"gone to nobody known":     func(z *zonetest.Zone) { z.Play(1, zonetest.GoneTo("mallory")) },
		"gone to another":          func(z *zonetest.Zone) { z.Play(1, zonetest.GoneTo("node04")) },
		"two of gone":              func(z *zonetest.Zone) { z.Play(1, zonetest.GoneTo("node02")); z.Play(2, zonetest.GoneTo("node01")) },
		"gone and redirect":        func(z *zonetest.Zone) { z.Play(1, zonetest.GoneTo("node02")); z.Play(2, zonetest.RedirectTo("node01")) },
		"all are gone":             allPlay(zonetest.AlwaysGone),
		"all are busy":             allPlay(zonetest.AlwaysBusy),
		"all fail":                 allPlay(zonetest.AlwaysFails),
		"all say it is not found":  allPlay(zonetest.AlwaysNotFound),
		"one says it is not found": func(z *zonetest.Zone) { z.Play(1, zonetest.AlwaysNotFound) },
	}
	for name, forge := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := zonetest.New(t, zonetest.Options{Nodes: 8, Blocks: sized(24, 256)})
				trace(t, z)
				forge(z)
				began := time.Now()
				nodes := z.Nodes()
				if name == "to a node that hangs" {
					nodes = except(z, z.Node(7)) // it cannot even read the origin
				}
				readOn(t, z, nodes)
				took := time.Since(began)
				asks := z.Net().Traffic().Asks
				perRead := float64(asks) / float64(len(z.Nodes())*z.Len())
				t.Logf("%v, %.2f asks a read, %d origin reads of %d blocks", took, perRead, z.Origin().Total(), z.Len())
				if took > budget+100*time.Millisecond {
					t.Errorf("took %v", took)
				}
				// A read may make 32; only where all nodes lie are many of them made.
				most := 6.0
				if strings.Contains(name, "all") {
					most = 16
				}
				if perRead > most {
					t.Errorf("%.1f asks a read, want at most %.0f", perRead, most)
				}
				checkBlame(t, z)
				z.Heal()
			})
		})
	}
}

func loopOf(nodes ...int) func(z *zonetest.Zone) {
	return func(z *zonetest.Zone) {
		for k, i := range nodes {
			z.Play(i, zonetest.RedirectTo(z.Node(nodes[(k+1)%len(nodes)]).Name))
		}
	}
}

func allPlay(trick zonetest.Trick) func(z *zonetest.Zone) {
	return func(z *zonetest.Zone) {
		for _, n := range z.Nodes() {
			z.Play(n.Index, trick)
		}
	}
}

// Whom the owner sends its readers to may have forgotten the block meanwhile.
func TestHoldersForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: sized(16, 64), L2: zonetest.Disk})
		trace(t, z)
		for round := range 6 {
			var wg sync.WaitGroup
			for _, n := range z.Nodes() {
				for i := range z.Len() {
					wg.Go(func() { within(t, n, z.ID(i), time.Second) })
				}
			}
			wg.Wait()
			for _, n := range z.Nodes() {
				if n.Index%2 == round%2 {
					n.Forget()
				}
			}
			sleep(time.Second)
		}
		checkOrigin(t, z, 1, z.Len())
	})
}

// Each ask arrives twice.
func TestAsksAreDeliveredTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{
			Nodes: 8, Blocks: sized(32, 256), Link: zonetest.Link{Up: 12.5e6, Down: 12.5e6},
		})
		trace(t, z)
		z.Net().Deliver(zonetest.Twice)
		startAll(t, z, z.Nodes())
		checkOrigin(t, z, 1, z.Len())
	})
}

// Readers that go away in the middle disturb nobody.
func TestReadersGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := zonetest.New(t, zonetest.Options{
			Nodes: 16, Blocks: sized(16, 128), BlockSize: 256 << 10, Link: zonetest.Link{Up: 12.5e6, Down: 12.5e6},
		})
		trace(t, z)
		leave(t, z)
		readEverywhere(t, z)
		checkOrigin(t, z, 3, 3*z.Len())
		t.Logf("%d origin reads of %d blocks", z.Origin().Total(), z.Len())
	})
}

// leave starts reads on every node and abandons each after a while.
func leave(t *testing.T, z *zonetest.Zone) {
	var wg sync.WaitGroup
	for _, n := range z.Nodes() {
		for i := range z.Len() {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context()) // not a deadline: that would be a reason to hurry
				defer cancel()
				time.AfterFunc(time.Duration(7*n.Index+i%13+1)*time.Millisecond, cancel)
				_, _ = n.Read(ctx, z.ID(i))
			})
		}
	}
	wg.Wait()
}
