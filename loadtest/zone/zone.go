package zone

import (
	"fmt"
	"testing"

	"github.com/zonecache/cached/internal/netlab"
)

// Options say what zone is started.
type Options struct {
	Programs   Programs
	Nodes      int
	Link       netlab.Link // of each node
	OriginLink netlab.Link
	Image      int64 // bytes of the image, pseudo-random
	Spread     Spread
	L1         string   // of each daemon; "": 64MiB
	L2         string   // of each daemon; "": room for three images
	Flags      []string // further flags of every daemon
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
	Lab   *netlab.Lab
	Store *Store
	Nodes []*Node
	Image Image

	options Options
	keys    keys
}

// Start starts a zone that ends with the test.
func Start(tb testing.TB, o Options) *Zone {
	tb.Helper()
	z := &Zone{Lab: netlab.New(tb), options: o}
	if z.options.L1 == "" {
		z.options.L1 = "64MiB"
	}
	if z.options.L2 == "" {
		z.options.L2 = fmt.Sprint(max(3*o.Image, 64<<20))
	}
	z.Store = startStore(tb, z.Lab.Host("origin", o.OriginLink))
	z.Image = z.Store.publish(tb, o.Programs, o.Image)
	for i := range o.Nodes {
		name := fmt.Sprintf("node%02d", i+1)
		z.Nodes = append(z.Nodes, &Node{zone: z, Name: name, Host: z.Lab.Host(name, o.Link), dir: tb.TempDir()})
	}
	z.makeKeys(tb)
	for _, n := range z.Nodes {
		n.Start(tb)
	}
	z.await(tb, z.Nodes)
	return z
}
