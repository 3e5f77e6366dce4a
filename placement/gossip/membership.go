package gossip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/singleflight"

	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/sparse"
)

// A Membership is this node's part in the zone.
type Membership struct {
	opt   Options
	addr  netip.AddrPort // under which others reach its gossip
	table *table
	list  *memberlist.Memberlist
	brood brood
	said  saying
	news  memberlist.TransmitLimitedQueue // notices on their way
	// sketches are what nodes hold, on its way.
	sketches memberlist.TransmitLimitedQueue
	gate     gate
	lines    sparse.Gate
	ring     atomic.Pointer[placement.Ring]
	asking   singleflight.Group // whether nodes live
	twin     string             // label of a zone of this name with the other kind of encryption

	counts counts

	wake    chan struct{} // the table changed
	jobs    chan func()   // for the run loop
	nudge   chan struct{} // for the seeker: nodes are missing
	contest contest
	rates   chan struct{} // the rate changed enough
	publish chan publication
	leaving atomic.Bool
	made    []placement.Member // what the last ring was made of; the run loop's alone

	ctx    context.Context //nolint:containedctx // of the goroutines below; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // seeker, publisher, key watcher
	stop   chan struct{}  // ends the run loop
	ran    sync.WaitGroup // the run loop
	close  sync.Once
}

// Open joins the zone. It waits at most JoinWait for a seed: a node whose seeds do
// not answer is a zone of one, and keeps looking for them. ctx is for Open only.
func Open(ctx context.Context, opt Options) (*Membership, error) {
	if err := opt.complete(); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	m := &Membership{
		opt: opt, lines: sparse.Gate{Gap: quiet}, table: newTable(opt.Node), brood: newBrood(),
		wake: make(chan struct{}, 1), jobs: make(chan func(), 256), nudge: make(chan struct{}, 1),
		rates: make(chan struct{}, 1), publish: make(chan publication), stop: make(chan struct{}),
	}
	m.news.NumNodes, m.news.RetransmitMult = m.table.size, 3
	m.sketches.RetransmitMult = sketchTries
	m.sketches.NumNodes = func() int { return max(m.table.size(), sketchCrowd) }
	m.ctx, m.cancel = context.WithCancel(context.Background())
	keys, seek, err := m.start()
	if err != nil {
		m.cancel()
		return nil, fmt.Errorf("gossip: %w", err)
	}

	first := make(chan struct{})
	m.work.Go(func() { seek.run(first) })
	m.work.Go(m.publisher)
	if opt.Residency != nil {
		m.work.Go(m.tellHoldings)
	}
	if keys != nil {
		m.work.Go(func() { m.watchKeys(keys) })
	}
	wait := time.NewTimer(m.opt.JoinWait)
	defer wait.Stop()
	select {
	case <-first:
	case <-wait.C:
	case <-ctx.Done():
		m.rebuild()
		m.ran.Go(m.run)
		return nil, errors.Join(fmt.Errorf("gossip: %w", context.Cause(ctx)), m.Close())
	}
	m.rebuild()
	m.ran.Go(m.run)
	return m, nil
}

// start makes everything but our own goroutines.
func (m *Membership) start() (*keyFile, *seeker, error) {
	bind, err := bindOf(m.opt.Bind)
	if err != nil {
		return nil, nil, err
	}
	mine := zoneLabel(m.opt.Zone, plainly)
	m.twin = zoneLabel(m.opt.Zone, sealed)
	var keys *keyFile
	if m.opt.KeyFile != "" {
		if keys, err = openKeys(m.opt.KeyFile); err != nil {
			return nil, nil, err
		}
		mine, m.twin = m.twin, mine
	}
	seek, err := newSeeker(m, bind.Port())
	if err != nil {
		return nil, nil, err
	}
	if _, err := advertiseOf(m.opt.Advertise, bind); err != nil {
		return nil, nil, err
	}
	t, err := m.listen(bind)
	if err != nil {
		return nil, nil, err
	}
	conf, err := m.config(t, bind)
	if err == nil {
		conf.Label = mine
		if keys != nil {
			conf.Keyring = keys.ring
		}
		m.brood.start(func() { m.list, err = memberlist.Create(conf) })
	}
	if err != nil {
		_ = t.Shutdown()
		m.brood.wait()
		return nil, nil, err
	}
	return keys, seek, nil
}

// config is memberlist's, as this zone runs it.
func (m *Membership) config(t *transport, bind netip.AddrPort) (*memberlist.Config, error) {
	bound := netip.AddrPortFrom(bind.Addr(), t.port())
	advertised, err := advertiseOf(m.opt.Advertise, bound)
	if err != nil {
		return nil, err
	}
	conf := memberlist.DefaultLANConfig()
	conf.Name = m.opt.Node
	conf.Transport = t
	conf.BindAddr, conf.BindPort = bind.Addr().String(), int(t.port())
	conf.AdvertiseAddr, conf.AdvertisePort = advertised.Addr().String(), int(advertised.Port())
	if advertised.Addr().IsUnspecified() {
		conf.AdvertiseAddr = "" // memberlist picks the private address
	}
	ip, port, err := t.FinalAdvertiseAddr(conf.AdvertiseAddr, conf.AdvertisePort)
	if err != nil {
		return nil, err
	}
	addr, _ := netip.AddrFromSlice(ip)
	m.addr = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	peer, err := peerOf(m.opt.PeerAddress, m.addr.Addr())
	if err != nil {
		return nil, err
	}
	m.said.meta = meta{zone: m.opt.Zone, peer: peer, weight: m.opt.Weight, version: m.opt.Version}

	pace := m.opt.Timing
	conf.ProbeInterval, conf.ProbeTimeout = pace.Probe, pace.Timeout
	conf.SuspicionMult, conf.SuspicionMaxTimeoutMult = pace.Suspicion, suspicionMax
	conf.AwarenessMaxMultiplier = 4
	conf.GossipInterval, conf.GossipNodes = pace.Gossip, 4
	conf.PushPullInterval = pace.Sync
	conf.TCPTimeout = 5 * time.Second
	conf.DeadNodeReclaimTime = time.Millisecond // a dead node's name is free for its successor at once
	conf.EnableCompression = false              // packets are small, and this costs a packet more than the network does

	d := delegate{m}
	conf.Delegate, conf.Events, conf.Alive, conf.Conflict, conf.Ping = d, d, d, d, d
	conf.DisableTcpPingsForNode = d.unanswered
	conf.Logger = nil
	conf.LogOutput = lineWriter{tap{m}}
	return conf, nil
}

// Members returns all members, also those outside the ring, by name.
func (m *Membership) Members() []MemberStatus { return m.table.statuses() }

// Address is where this node's gossip is reached.
func (m *Membership) Address() netip.AddrPort { return m.addr }

// Close ends the membership and waits for its goroutines. Without Leave before it
// the zone is not told, and finds out by its probes.
func (m *Membership) Close() error {
	var err error
	m.close.Do(func() {
		m.cancel()
		if m.leaving.Load() && !m.contest.open() { // a second node of a name must not take its leave in the first one's name
			_ = m.list.Leave(time.Second) // said before; this only ends the probes
		}
		err = m.list.Shutdown()
		m.work.Wait()
		m.brood.wait()
		close(m.stop)
		m.ran.Wait()
	})
	return err
}
