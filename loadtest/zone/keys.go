package zone

import (
	"fmt"
	"testing"
	"time"
)

// keys are what the nodes of a zone recognise each other by.
type keys struct {
	tls    string // directory with the zone's certificates
	gossip string // file
}

func (z *Zone) makeKeys(testing.TB) {}

func (z *Zone) zoneFlags(*Node) []string { return nil }

// await waits until all nodes see each other.
func (z *Zone) await(tb testing.TB, nodes []*Node) {
	tb.Helper()
	if z.options.Spread == Alone {
		return
	}
	for _, n := range nodes {
		await(tb, n.Name+" sees the zone", 30*time.Second, func() error {
			if got := len(n.Status(tb).GetZone().GetPeers()); got != len(nodes) {
				return fmt.Errorf("%d of %d nodes", got, len(nodes))
			}
			return nil
		})
	}
}
