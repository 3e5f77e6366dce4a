package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/gossip"
	"github.com/zonecache/cached/placement/residency"
	"github.com/zonecache/cached/prefetch"
	"github.com/zonecache/cached/tiers/peer"
)

// A zone is a node's part in L3: the peers it knows, how it reads from them and
// how they read from it.
type zone struct {
	cfg      ZoneConfig
	log      *slog.Logger
	spans    api.Tracer       // nil: nobody traces
	identity *identity.Source // nil where the zone is insecure
	peers    *api.Peers
	trees    *api.Trees // nil unless images spread by trees
	nodes    *api.Nodes
	warmer   api.PeerWarmer  // set before serve; nil: others cannot have this node warmed
	driller  api.PeerDriller // set before serve; nil: it takes part in no drills
	tier     *peer.Tier
	server   *api.PeerServer
	served   chan error // what the server ended with
	refused  [len(api.Refusals)]atomic.Uint64
	odd      [len(api.Oddities)]atomic.Uint64
	// certificates of other nodes that this one refused, as a server or a client.
	certificates atomic.Uint64
	told         atomic.Int64 // when one was last logged, Unix nanoseconds

	admission *peer.Admission

	residency *residency.Table // what the nodes say they hold

	ring    atomic.Pointer[placement.Ring]
	members atomic.Pointer[gossip.Membership] // nil until serve
	met     chan struct{}                     // closed when serve is through
	fresh   chan struct{}                     // there is a new ring
	ending  context.Context                   //nolint:containedctx // of the zone's own work, which nobody calls
	end     context.CancelFunc
	work    sync.WaitGroup
}

// newZone makes the node's part; nothing is sent or answered yet. held is what
// this node may give to peers without reading further.
func newZone(cfg ZoneConfig, held block.Reader, spans api.Tracer, log *slog.Logger) (*zone, error) {
	z := &zone{cfg: cfg, spans: spans, log: log.With("zone", cfg.Name), served: make(chan error, 1), fresh: make(chan struct{}, 1), met: make(chan struct{})}
	z.ending, z.end = context.WithCancel(context.Background())
	z.ring.Store(placement.NewRing([]placement.Member{{Name: cfg.Node, Zone: cfg.Name, Weight: uint32(cfg.Weight)}}))
	clients := api.PeerClientOptions{Node: cfg.Node, Zone: cfg.Name, Silence: cfg.PeerSilence, SilencePerHop: peer.DefaultPerDepth, Odd: z.noteOdd, Tracer: spans, Logger: z.log}
	if cfg.Insecure {
		z.log.Warn("nodes of this zone speak in plain text and trust whoever reaches their ports (zone.insecure)",
			"peer_listen", cfg.PeerListen, "gossip", cfg.Gossip, "beyond_this_host", beyondLoopback(cfg.PeerListen) || beyondLoopback(cfg.Gossip))
	} else {
		src, err := identity.Load(cfg.TLS, identity.Options{
			Logger: z.log, Refused: z.refuseCertificate, Accept: identity.OfNode(cfg.Name, cfg.Node),
		})
		if err != nil {
			return nil, fmt.Errorf("zone.tls: %w", err)
		}
		z.identity = src
		clients.TLS = func(to placement.Member) *tls.Config { return src.PeerClient(cfg.Name, to.Name) }
	}
	z.peers, z.nodes = api.NewPeers(clients), api.NewNodes(clients)
	opts := peer.Options{
		Node: cfg.Node, Ring: z.ring.Load, Transport: z.peers, Held: held, Budget: cfg.PeerBudget, Silence: cfg.PeerSilence,
		Limits: placement.Limits{PerBlock: cfg.SendsPerBlock, Total: cfg.Sends},
		Alive:  z.alive, Suspect: z.suspect, Logger: z.log,
	}
	if cfg.Distribution == distributeTree {
		z.trees = api.NewTrees(clients)
		opts.Distribution, opts.Registrar = peer.ByTree, z.trees
	}
	policy, err := peer.ParsePolicy(cfg.L2Admit)
	if err != nil {
		return nil, fmt.Errorf("zone.l2-admit: %w", err)
	}
	if z.tier, err = peer.New(opts); err != nil {
		return nil, err
	}
	z.admission = z.tier.Admission(policy)
	return z, nil
}

// admit reports whether L2 keeps a block that another node owns.
func (z *zone) admit(b block.Block) bool { return z.admission.Admit(b) }

// rate is the typical rate of the zone's uplinks in Mbit/s, 0 when nobody has
// measured one: the median.
func (z *zone) rate() uint32 {
	var rates []uint32
	for _, m := range z.ring.Load().Members() {
		if m.Rate > 0 {
			rates = append(rates, m.Rate)
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// ahead is how this node reads ahead of its programs.
func (z *zone) ahead() prefetch.Options {
	o := prefetch.Options{Owner: z.tier.Owns, Rate: z.rate, Part: z.tier.Part, Seed: z.seed()}
	if z.cfg.Distribution == distributeTree {
		// All blocks flow down one tree: nothing is won by different orders.
		o.Order = placement.OrderLimits{Window: 1, Out: 16, Demand: 16}
	}
	return o
}

// seed makes this node's order of reading its own.
func (z *zone) seed() uint64 {
	h := fnv.New64a()
	h.Write([]byte(z.cfg.Node)) // never fails
	return h.Sum64()
}

// serve answers peers on l and joins the zone: a node is in the ring only once it
// can be asked. When it cannot answer any more, failed is told why.
func (z *zone) serve(ctx context.Context, l net.Listener, failed chan<- error, log *slog.Logger) error {
	defer close(z.met)
	options := api.PeerServerOptions{Zone: z.cfg.Name, Rate: z.tier.Rate, Refused: z.refuse, Tracer: z.spans, Logger: z.log}
	if z.identity != nil {
		options.TLS = z.identity.PeerServer(z.cfg.Name)
		options.Identify = func(s tls.ConnectionState) (string, error) { return identity.Node(s, z.cfg.Name) }
	}
	other := api.NewPeerHandler(z.tier, api.PeerHandlerOptions{Zone: z.cfg.Name, Warmer: z.warmer, Driller: z.driller, Logger: z.log})
	z.server = api.NewPeerServer(api.PeerServices{Blocks: peerBlocks{z}, Other: other}, options)
	go func() {
		err := z.server.Serve(l)
		if err != nil {
			failed <- fmt.Errorf("zone: peers are not answered any more: %w", err)
		}
		z.served <- err
	}()

	address := z.cfg.PeerAdvertise
	if address == "" {
		address = l.Addr().String()
	}
	members, err := gossip.Open(ctx, gossip.Options{
		Node: z.cfg.Node, Zone: z.cfg.Name, Bind: z.cfg.Gossip, Advertise: z.cfg.GossipAdvertise, PeerAddress: address,
		Weight: uint32(z.cfg.Weight), Version: versionText(), Seeds: z.cfg.Seeds,
		KeyFile: z.cfg.GossipKeys, Insecure: z.cfg.Insecure,
		OnChange: z.changed, OnDeath: z.tier.Suspect, Residency: z.residency, Logger: log,
	})
	if err != nil {
		return fmt.Errorf("zone.gossip: %w", err)
	}
	z.members.Store(members)
	z.work.Go(func() { z.tellRate(members) })
	z.work.Go(z.keepWarm)
	return nil
}

// changed takes a new ring. Connections to who is gone are of no use, and who is
// back is asked again.
func (z *zone) changed(ring *placement.Ring) {
	former := z.ring.Swap(ring)
	for _, m := range ring.Members() {
		if _, ok := former.Member(m.Name); !ok && m.Name != z.cfg.Node {
			z.tier.Returned(m.Name)
		}
	}
	for _, was := range former.Members() {
		if is, ok := ring.Member(was.Name); was.Address != "" && (!ok || is.Address != was.Address) {
			z.peers.Forget(was.Address)
		}
	}
	select {
	case z.fresh <- struct{}{}:
	default:
	}
}

// refuseCertificate counts a certificate of another node that this one does not
// accept, and says why, once a second at most: the other side only sees that it
// was refused.
func (z *zone) refuseCertificate(err error) {
	z.certificates.Add(1)
	now, last := time.Now().UnixNano(), z.told.Load()
	if now-last > int64(refusalGap) && z.told.CompareAndSwap(last, now) {
		z.log.Warn("a peer's certificate was refused", "error", err)
	}
}

func (z *zone) noteOdd(what api.Oddity) {
	if i := slices.Index(api.Oddities[:], what); i >= 0 {
		z.odd[i].Add(1)
	}
}

// Connections to the other nodes are made before they are needed: soon after the
// ring has changed, and again before idle ones are closed.
const (
	warmAfter = 500 * time.Millisecond
	warmEvery = 4 * time.Minute
	maxWarm   = 128 // nodes; those in a larger zone meet when they must
)

func (z *zone) keepWarm() {
	timer := time.NewTimer(warmAfter)
	defer timer.Stop()
	for {
		select {
		case <-z.fresh:
			timer.Reset(warmAfter)
		case <-timer.C:
			others := slices.DeleteFunc(slices.Clone(z.ring.Load().Members()), func(m placement.Member) bool { return m.Name == z.cfg.Node })
			rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
			z.peers.Warm(z.ending, others[:min(len(others), maxWarm)])
			timer.Reset(warmEvery)
		case <-z.ending.Done():
			return
		}
	}
}

func (z *zone) refuse(why api.Refusal) {
	if i := slices.Index(api.Refusals[:], why); i >= 0 {
		z.refused[i].Add(1)
	}
}

// tellRate lets the zone know how fast this node's uplink is, which the others
// compare theirs with.
func (z *zone) tellRate(members *gossip.Membership) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			members.SetRate(z.tier.Rate())
		case <-z.ending.Done():
			return
		}
	}
}

// alive asks a node by gossip whether it lives.
func (z *zone) alive(node string) bool {
	m := z.members.Load()
	return m != nil && m.Alive(node)
}

// suspect tells the zone of a node that does not answer.
func (z *zone) suspect(node, reason string) {
	if m := z.members.Load(); m != nil {
		m.NoteDeath(node, reason)
	}
}

// leave takes the node out of the trees and of the others' rings. It still
// answers. Those who do not hear of it find out when it is gone.
func (z *zone) leave(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout/2)
	z.tier.LeaveTrees(ctx)
	cancel()
	if m := z.members.Load(); m != nil {
		if err := m.Leave(timeout / 2); err != nil {
			z.log.Warn("the zone may not have heard that this node leaves", "error", err)
		}
	}
}

// stop ends the answers to peers, after those in progress.
func (z *zone) stop(ctx context.Context) error {
	if z.server == nil {
		return nil
	}
	return errors.Join(z.server.Shutdown(ctx), <-z.served)
}

// close ends everything.
func (z *zone) close() error {
	z.end()
	z.work.Wait()
	var errs []error
	if m := z.members.Load(); m != nil {
		errs = append(errs, m.Close())
	}
	errs = append(errs, z.tier.Close(), z.peers.Close(), z.nodes.Close())
	if z.trees != nil {
		errs = append(errs, z.trees.Close())
	}
	return errors.Join(errs...)
}
