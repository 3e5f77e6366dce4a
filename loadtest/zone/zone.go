package zone

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/netlab"
)

// Options say what zone is started.
type Options struct {
	Programs   Programs
	Nodes      int
	Link       netlab.Link // of each node
	OriginLink netlab.Link
	Image      int64 // bytes of the image, pseudo-random; 0: none is published
	// Front starts what stands before the store and returns the URL by which daemons
	// reach the store through it; nil: nothing does.
	Front  func(*Store) string
	Spread Spread
	L1     string                  // of each daemon; "": 64MiB
	L2     string                  // of each daemon; "": room for three images
	Flags  []string                // further flags of every daemon
	Each   func(node int) []string // further flags of each daemon, by its place; nil: none
}

// A Spread is how an image spreads among the daemons.
type Spread string

// The spreads.
const (
	Alone    Spread = ""         // not at all: each daemon reads the origin for itself
	Redirect Spread = "redirect" // as in zone.distribution
	Tree     Spread = "tree"
)

// A Zone is a running zone.
type Zone struct {
	Lab    *netlab.Lab
	Store  *Store
	Origin string // URL of the store for the daemons
	Nodes  []*Node
	Image  Image

	tb      testing.TB // the daemons end with it, whoever restarted them
	options Options
	keys    *keys
	running int // of the nodes, the first ones
}

// Start starts a zone that ends with the test. All its nodes see each other.
func Start(tb testing.TB, o Options) *Zone {
	tb.Helper()
	z := &Zone{Lab: netlab.New(tb), tb: tb, options: o}
	if z.options.L1 == "" {
		z.options.L1 = "64MiB"
	}
	if z.options.L2 == "" {
		z.options.L2 = fmt.Sprint(max(3*o.Image, 64<<20))
	}
	z.Store = startStore(tb, z.Lab.Host("origin", o.OriginLink))
	z.Origin = z.Store.URL
	if o.Front != nil {
		z.Origin = o.Front(z.Store)
	}
	if o.Image > 0 {
		z.Image = z.Store.Publish(tb, o.Programs, Content{Name: ImageName, Size: o.Image})
	}
	if o.Spread != Alone {
		z.keys = newKeys(tb)
	}
	for i := range o.Nodes {
		z.Nodes = append(z.Nodes, z.newNode(tb, i))
	}
	z.running = len(z.Nodes)
	for _, n := range z.Nodes {
		n.start()
	}
	for _, n := range z.Nodes {
		n.awaitReady(tb)
	}
	z.Await(tb, z.Nodes)
	return z
}

// Await waits until these nodes see each other and nobody else, and those with a
// weight have a share of the ring.
func (z *Zone) Await(tb testing.TB, nodes []*Node) {
	tb.Helper()
	if z.options.Spread == Alone {
		return
	}
	if nodes[0].Status(tb).GetZone() == nil {
		tb.Skip("needs a daemon that has peers")
	}
	for _, n := range nodes {
		await(tb, n.Name+" sees the zone", time.Minute, func() error {
			zone := n.Status(tb).GetZone()
			owners, in := 0, 0
			for _, p := range zone.GetPeers() {
				if p.GetWeight() > 0 {
					owners++
				}
				if p.GetShare() > 0 { // the ring may come later than the news
					in++
				}
			}
			if len(zone.GetPeers()) != len(nodes) || in != owners {
				return fmt.Errorf("%d of %d nodes, %d of %d in the ring", len(zone.GetPeers()), len(nodes), in, owners)
			}
			return nil
		})
	}
	// A ring may come later than the news of who left, too.
	await(tb, "one ring", time.Minute, func() error {
		epochs := map[uint64][]string{}
		for _, n := range nodes {
			epoch := n.Status(tb).GetZone().GetEpoch()
			epochs[epoch] = append(epochs[epoch], n.Name)
		}
		if len(epochs) != 1 {
			return fmt.Errorf("the nodes have different rings of the same members: %v", epochs)
		}
		return nil
	})
}

// await polls, because what it waits for happens in another process.
func await(tb testing.TB, what string, patience time.Duration, f func() error) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: after %s: %v", what, patience, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}
