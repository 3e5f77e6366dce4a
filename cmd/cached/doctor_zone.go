package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement/gossip"
	"github.com/zonecache/cached/tiers/origin"
)

// What the network should be like.
const (
	farOrigin    = 200 * time.Millisecond
	originTries  = 5
	doctorWaits  = 5 * time.Second // for anything on the network
	clockOff     = 5 * time.Second
	clockRefused = 15 * time.Minute // by S3
)

// origins asks each object store a few times.
func (d *doctor) origins(ctx context.Context) {
	err := withOrigin(ctx, d.cfg, func(o *origin.Origin) error {
		for _, s := range o.Origins() {
			d.originAnswers(ctx, s)
		}
		return nil
	})
	if err != nil {
		d.note("origin", broken, "check the URL, the credentials in the environment, and the CA", "%v", err)
	}
}

func (d *doctor) originAnswers(ctx context.Context, s *origin.Single) {
	var took []time.Duration
	for range originTries {
		ctx, cancel := context.WithTimeout(ctx, doctorWaits)
		began := time.Now()
		err := s.Check(ctx)
		cancel()
		if err != nil {
			v := broken
			if len(d.cfg.Origins) > 1 {
				v = doubted // the others serve
			}
			d.note("origin", v, "check the endpoint, the way to it (names, routes, proxy), the CA (ca=), the bucket, the region and the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)", "%v", err)
			return
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median, v := took[len(took)/2], sound
	if median > farOrigin {
		v = doubted
	}
	d.note("origin", v, "choose a store in the same region", "%s answers in %s", s, median.Round(time.Millisecond/10))
}

// clock compares this host's with that of the first store that tells its own.
func (d *doctor) clock(ctx context.Context) {
	for _, raw := range d.cfg.Origins {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "s3" {
			continue
		}
		store := u.Query().Get("endpoint")
		if store == "" {
			store = "https://s3.amazonaws.com"
		}
		theirs, err := dateOf(ctx, store, u.Query().Get("ca"))
		if err != nil {
			d.note("clock", doubted, "compare it yourself: S3 refuses one that is 15 minutes off", "%s does not tell its own: %v", store, err)
			return
		}
		off, v := time.Since(theirs).Abs().Truncate(time.Second), sound
		switch {
		case off > clockRefused:
			v = broken
		case off > clockOff:
			v = doubted
		}
		d.note("clock", v, "start an NTP client (chrony)", "%s off that of %s", off, store)
		return
	}
	d.note("clock", sound, "", "compared with none: no origin is a store that tells its own")
}

// dateOf asks a store what time it is; whatever else it answers.
func dateOf(ctx context.Context, store, ca string) (time.Time, error) {
	transport := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return time.Time{}, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	ctx, cancel := context.WithTimeout(ctx, doctorWaits)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, store, nil)
	if err != nil {
		return time.Time{}, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return time.Time{}, err
	}
	resp.Body.Close()
	return http.ParseTime(resp.Header.Get("Date"))
}

// zone looks at what this node needs to be one of a zone's.
func (d *doctor) zone(ctx context.Context) {
	z := d.cfg.Zone
	if z.Name == "" {
		d.note("zone", doubted, "name it with --zone, unless this host is alone", "no zone is set: this host reads the whole origin for itself")
		return
	}
	if z.Insecure {
		d.note("zone", doubted, "use --zone-tls and --gossip-keys", "nodes of %s trust whoever reaches their ports", z.Name)
	} else {
		d.certificate("zone", z.TLS, identity.Options{Accept: identity.OfNode(z.Name, z.Node)})
		if n, err := gossip.CheckKeys(z.GossipKeys); err != nil {
			d.note("gossip keys", broken, "`cached certs gossip-key` makes one for all nodes", "%v", err)
		} else {
			d.note("gossip keys", sound, "", "%d in %s", n, z.GossipKeys)
		}
	}
	if len(z.Seeds) == 0 {
		d.note("seeds", sound, "", "none: this node waits for others to join it")
		return
	}
	d.seeds(ctx, z)
}

// seeds looks whether any of them is there, by both ways that gossip goes.
func (d *doctor) seeds(ctx context.Context, z ZoneConfig) {
	var problems []error
	var found []netip.AddrPort
	reached := 0
	for _, seed := range z.Seeds {
		asking, cancel := context.WithTimeout(ctx, doctorWaits)
		addrs, err := gossip.SeedAddresses(asking, seed, gossip.DefaultPort)
		cancel()
		if err != nil {
			problems = append(problems, err)
		}
		found = append(found, addrs...)
		for _, addr := range addrs {
			dialing, cancel := context.WithTimeout(ctx, doctorWaits)
			c, err := new(net.Dialer).DialContext(dialing, "tcp", addr.String())
			cancel()
			if err != nil {
				problems = append(problems, err)
				continue
			}
			reached++
			c.Close()
		}
	}
	switch {
	case reached == 0:
		d.note("seeds", doubted, "start the others, or open port 7946 (TCP and UDP) and 7072 (TCP) between the hosts", "none answers: %v", errors.Join(problems...))
	case len(problems) > 0:
		d.note("seeds", sound, "", "%d answer by TCP, others do not: %v", reached, problems[0])
	default:
		d.note("seeds", sound, "", "%d answer by TCP", reached)
	}
	d.pingSeeds(ctx, z, found)
}

// maxPinged is how many addresses of seeds are pinged.
const maxPinged = 16

// pingSeeds asks them by UDP as gossip does: a node that is reached by TCP alone is
// suspected by the others all the time.
func (d *doctor) pingSeeds(ctx context.Context, z ZoneConfig, seeds []netip.AddrPort) {
	with := "in plain text"
	if !z.Insecure {
		if _, err := gossip.CheckKeys(z.GossipKeys); err != nil {
			d.note("gossip udp", doubted, "see what failed above", "no seed was pinged: there are no keys to do it with")
			return
		}
		with = "with the first key of " + z.GossipKeys
	}
	slices.SortFunc(seeds, netip.AddrPort.Compare)
	seeds = slices.Compact(seeds)
	if len(seeds) == 0 {
		return
	}
	seeds = seeds[:min(len(seeds), maxPinged)]
	took, errs := make([]time.Duration, len(seeds)), make([]error, len(seeds))
	var all sync.WaitGroup
	for i, to := range seeds {
		all.Go(func() { took[i], errs[i] = gossip.Probe(ctx, z.Name, z.Gossip, z.GossipKeys, to) })
	}
	all.Wait()
	answer := 0
	for i, to := range seeds {
		if errs[i] == nil {
			answer++
			continue
		}
		do := fmt.Sprintf("open port %d (UDP) between the hosts, both ways; where it is, compare --zone and the first line of --gossip-keys of both", to.Port())
		d.note("gossip udp", doubted, do, "pinged %s: %v", with, errs[i])
	}
	if answer > 0 {
		d.note("gossip udp", sound, "", "%d of %d seeds answer a ping %s, the slowest in %s", answer, len(seeds), with, slices.Max(took).Round(time.Millisecond/10))
	}
}
