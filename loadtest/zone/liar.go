package zone

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/internal/testtool"
)

// A Liar is a member of the zone that answers its peers with wrong bytes.
type Liar struct {
	Host    *netlab.Host
	zone    *Zone
	dir     string
	process *testtool.Process
}

const liarName = "liar"

// Liar connects a host for a liar, which does not run yet.
func (z *Zone) Liar(tb testing.TB) *Liar {
	tb.Helper()
	return &Liar{Host: z.Lab.Host(liarName, z.options.Link), zone: z, dir: z.keys.issue(tb, liarName)}
}

// Start lets the liar join the zone; all nodes run and see it.
func (l *Liar) Start(tb testing.TB) {
	tb.Helper()
	cmd := exec.Command(l.zone.options.Programs.liar(), "-zone", ZoneName, "-node", liarName,
		"-peer-listen", l.Host.Address(peerPort), "-gossip", l.Host.Address(gossipPort),
		"-seed", l.zone.Nodes[0].Host.Address(gossipPort), "-zone-tls", l.dir, "-gossip-keys", l.zone.keys.gossip)
	cmd.Env = environ()
	l.process = l.Host.Start(tb, cmd, func(context.Context) bool { return true })
	for _, n := range l.zone.Nodes {
		await(tb, liarName, 30*time.Second, func() error {
			p, err := n.peer(liarName)
			if err == nil && p.GetShare() == 0 {
				err = fmt.Errorf("%s does not ask the liar for anything", n.Name)
			}
			return err
		})
	}
}

// Stop ends the liar.
func (l *Liar) Stop() { l.process.Stop() }
