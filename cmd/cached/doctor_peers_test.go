package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/gossip"
)

// answersAll is what a node answers to every ask.
type answersAll struct{ err error }

func (a answersAll) AnswerPeer(context.Context, block.ID, placement.Ask, func() error) (api.PeerAnswer, error) {
	return api.PeerAnswer{Reply: placement.Reply{Verdict: placement.Gone, Epoch: 1}}, a.err
}

// A neighbourhood is where a doctor asks peers: each answers in its own way.
type neighbourhood struct {
	*testing.T
	ca, stranger *identity.CA
	status       *cachedv1.ZoneStatus
}

// add tells the doctor of a node that is well as far as its daemon knows.
func (n *neighbourhood) add(name, address string) *cachedv1.PeerStatus {
	p := &cachedv1.PeerStatus{Name: name, Address: address, Health: "alive"}
	n.status.Peers = append(n.status.Peers, p)
	return p
}

// A neighbour is how a node answers.
type neighbour struct {
	certificate string // a directory; "": plain text
	zone        string // it says that it is in; "": z1
	refuses     bool   // every certificate
	err         error  // of every ask
}

// serve has a node answer.
func (n *neighbourhood) serve(name string, as neighbour) *cachedv1.PeerStatus {
	n.Helper()
	o := api.PeerServerOptions{Zone: cmp.Or(as.zone, "z1")}
	if as.certificate != "" {
		src, err := identity.Load(as.certificate, identity.Options{})
		if err != nil {
			n.Fatal(err)
		}
		o.TLS = src.PeerServer("z1")
		if as.refuses {
			o.TLS.VerifyConnection = func(tls.ConnectionState) error { return identity.ErrRefused }
		}
		o.Identify = func(s tls.ConnectionState) (string, error) { return identity.Node(s, "z1") }
	}
	l := rate.Listen(n)
	s := api.NewPeerServer(api.PeerServices{Blocks: answersAll{as.err}}, o)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	n.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-done); err != nil {
			n.Error(err)
		}
	})
	return n.add(name, l.Addr().String())
}

func (n *neighbourhood) certificate(ca *identity.CA, node string) string {
	n.Helper()
	dir, _ := issueNode(n.T, ca, node, time.Hour)
	return dir
}

func newNeighbourhood(t *testing.T) *neighbourhood {
	t.Helper()
	n := &neighbourhood{T: t, status: &cachedv1.ZoneStatus{Name: "z1", Node: "n1"}}
	n.ca, _ = provenZone(t, "z1")
	n.stranger, _ = provenZone(t, "z1")
	n.add("n1", "127.0.0.1:1").Health = "self" // which is not asked
	return n
}

// Each node is asked at its port for peers, and what is wrong is told apart.
func TestDoctorOfPeers(t *testing.T) {
	n := newNeighbourhood(t)
	n.serve("well", neighbour{certificate: n.certificate(n.ca, "well")})
	closed := rate.Listen(t)
	closed.Close()
	n.add("closed", closed.Addr().String())
	n.serve("stranger", neighbour{certificate: n.certificate(n.stranger, "stranger")})
	n.serve("other", neighbour{certificate: n.certificate(n.ca, "another")})
	n.serve("distrusts", neighbour{certificate: n.certificate(n.ca, "distrusts"), refuses: true})
	elsewhere := n.serve("elsewhere", neighbour{certificate: n.certificate(n.ca, "elsewhere"), zone: "z2"})
	n.serve("busy", neighbour{certificate: n.certificate(n.ca, "busy"), err: block.ErrOverloaded})
	n.serve("liar", neighbour{certificate: n.certificate(n.ca, "liar")}).Wrong = 7
	suspect := n.serve("suspect", neighbour{certificate: n.certificate(n.ca, "suspect")})
	suspect.Health, suspect.Problem = "suspect", "it stalled"
	web := rate.Listen(t)
	server := &http.Server{ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(web) }() // until it is closed
	t.Cleanup(func() { server.Close() })
	n.add("web", web.Addr().String())

	d := &doctor{}
	d.cfg.Zone = ZoneConfig{Name: "z1", Node: "n1", TLS: n.certificate(n.ca, "n1")}
	d.peers(t.Context(), n.status)
	_, port, _ := net.SplitHostPort(closed.Addr().String())
	for _, c := range []struct{ is, do string }{
		{"closed is not reached", "open port " + port + " (TCP)"},
		{"stranger shows a certificate that this node refuses", "cached certs show"},
		{"other shows a certificate that this node refuses", "names"},
		{"distrusts refuses this node's certificate", "cached certs show"},
		{`elsewhere does not serve this node: peer elsewhere (` + elsewhere.GetAddress() + `): zone "z1" is not "z2"`, "same --zone"},
		{"busy has too much to do", "overloaded.md"},
		{"liar has sent 7 wrong blocks", "integrityfailure.md"},
		{"is suspect it stalled", "it answers now"},
		{"web does not serve this node", "what listens there"},
	} {
		d.check(t, "peers", doubted, c.is, c.do)
	}
	d.check(t, "peers", sound, "1 others of zone z1 are well", "")
	if len(d.found) != 10 {
		t.Errorf("%d findings, want 10: %+v", len(d.found), d.found)
	}
}

// In a zone that proves nothing, and with a certificate that cannot be read.
func TestDoctorOfPeersInPlainText(t *testing.T) {
	n := newNeighbourhood(t)
	n.serve("well", neighbour{})
	d := &doctor{}
	d.cfg.Zone = ZoneConfig{Name: "z1", Node: "n1", Insecure: true}
	d.peers(t.Context(), n.status)
	d.check(t, "peers", sound, "1 others of zone z1 are well", "")

	d = &doctor{}
	d.cfg.Zone = ZoneConfig{Name: "z1", Node: "n1", TLS: t.TempDir()}
	d.peers(t.Context(), n.status)
	d.check(t, "peers", doubted, "cannot be asked", "failed above")

	d = &doctor{}
	d.cfg.Zone = ZoneConfig{Name: "z1", Node: "n1", Insecure: true}
	d.peers(t.Context(), &cachedv1.ZoneStatus{Name: "z1", Node: "n1"})
	d.check(t, "peers", doubted, "0 others of zone z1 are well", "start the others")
	d = &doctor{}
	if d.peers(t.Context(), nil); len(d.found) != 0 {
		t.Errorf("no zone: %+v", d.found)
	}
}

// A seed is asked by TCP and by UDP: one whose UDP port is closed is no good to gossip.
func TestDoctorOfSeedsByUDP(t *testing.T) {
	m, err := gossip.Open(t.Context(), gossip.Options{Node: "n2", Zone: "z1", Bind: "127.0.0.1:0", PeerAddress: "127.0.0.1:7072", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	closed := rate.Listen(t)
	defer closed.Close()
	_, port, _ := net.SplitHostPort(closed.Addr().String())
	d := &doctor{}
	z := ZoneConfig{Name: "z1", Node: "n1", Insecure: true, Gossip: "127.0.0.1:0", Seeds: []string{m.Address().String(), closed.Addr().String()}}
	d.seeds(t.Context(), z)
	d.check(t, "seeds", sound, "2 answer by TCP", "")
	d.check(t, "gossip udp", doubted, closed.Addr().String()+" does not answer by UDP", "open port "+port+" (UDP)")
	d.check(t, "gossip udp", sound, "1 of 2 seeds answer a ping in plain text", "")
	if len(d.found) != 3 || len(m.Members()) != 1 {
		t.Errorf("%+v, members %v", d.found, m.Members())
	}

	z.Insecure, z.GossipKeys = false, filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(z.GossipKeys, []byte(gossip.NewKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	d = &doctor{}
	d.seeds(t.Context(), z)
	d.check(t, "gossip udp", doubted, m.Address().String()+" does not answer by UDP", "compare --zone and the first line of --gossip-keys")
}
