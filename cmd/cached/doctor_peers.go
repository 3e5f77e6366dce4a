package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/gossip"
)

// peersAtOnce is how many nodes are asked at a time.
const peersAtOnce = 32

// peers asks each node that the daemon knows as the daemon would, and looks at how it
// fares with them.
func (d *doctor) peers(ctx context.Context, z *cachedv1.ZoneStatus) {
	if z == nil {
		return
	}
	var others []*cachedv1.PeerStatus
	for _, p := range z.GetPeers() {
		if p.GetName() != z.GetNode() {
			others = append(others, p)
		}
	}
	problems, err := d.askPeers(ctx, others)
	if err != nil {
		d.note("peers", doubted, "see what failed above", "they cannot be asked: %v", err)
		return
	}
	well := 0
	for i, p := range others {
		switch is, do := peerProblem(problems[i], p.GetAddress()); {
		case p.GetWrong() > 0:
			d.note("peers", doubted, "drain it, and look at its memory and disk (docs/runbooks/integrityfailure.md)", "%s has sent %d wrong blocks", p.GetName(), p.GetWrong())
		case is != "":
			d.note("peers", doubted, do, "%s %s: %v", p.GetName(), is, problems[i])
		case p.GetHealth() != gossip.Alive.String() || p.GetProblem() != "":
			d.note("peers", doubted, "wait a minute: it answers now; else look at the link between the hosts", "%s (%s) is %s %s", p.GetName(), p.GetAddress(), p.GetHealth(), p.GetProblem())
		default:
			well++
		}
	}
	v := sound
	if well == 0 {
		v = doubted
	}
	d.note("peers", v, "start the others, or check --zone, --seed and the gossip key (docs/runbooks/ringissplit.md)", "%d others of zone %s are well", well, z.GetName())
}

// nobodyHas is the id of a block that does not exist: whoever is asked for it says so.
var nobodyHas = block.Sum([]byte("cached doctor"))

// askPeers asks nodes for a block that nobody has, with this node's certificate, and
// returns what came of each: nil where it answered.
func (d *doctor) askPeers(ctx context.Context, nodes []*cachedv1.PeerStatus) ([]error, error) {
	z := d.cfg.Zone
	options := api.PeerClientOptions{Node: z.Node, Zone: z.Name, DialTimeout: doctorWaits, Silence: doctorWaits}
	if !z.Insecure {
		src, err := identity.Load(z.TLS, identity.Options{Accept: identity.OfNode(z.Name, z.Node)})
		if err != nil {
			return nil, err
		}
		options.TLS = func(to placement.Member) *tls.Config { return src.PeerClient(z.Name, to.Name) }
	}
	asking := api.NewPeers(options)
	defer asking.Close()
	problems, places := make([]error, len(nodes)), make(chan struct{}, peersAtOnce)
	var all sync.WaitGroup
	for i, n := range nodes {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, doctorWaits)
			defer cancel()
			arrival := block.NewArrival(nobodyHas, block.DefaultPool)
			defer arrival.Leave()
			_, problems[i] = asking.Fetch(ctx, placement.Member{Name: n.GetName(), Address: n.GetAddress()}, nobodyHas, placement.Ask{Kind: placement.Held}, arrival)
		})
	}
	all.Wait()
	return problems, nil
}

// peerProblem says what an ask that failed means, and what to do about it.
func peerProblem(err error, address string) (is, do string) {
	var dial *net.OpError
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, identity.ErrRefused):
		return "shows a certificate that this node refuses", "compare the CAs, names and clocks of both hosts: `cached certs show`"
	case errors.As(err, &dial) && dial.Op == "remote error": // an alert of TLS
		return "refuses this node's certificate", "compare the CAs, names and clocks of both hosts: `cached certs show`; its log says why"
	case errors.Is(err, block.ErrOverloaded):
		return "has too much to do", "see docs/runbooks/overloaded.md"
	case errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		_, port, _ := net.SplitHostPort(address)
		return "is not reached", "start its daemon, or open port " + port + " (TCP) of that host to this one"
	}
	return "does not serve this node", "give both the same --zone; else look at what listens there, and at its log"
}
