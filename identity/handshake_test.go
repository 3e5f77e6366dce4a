package identity_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/identity"
)

// A clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newCA(t *testing.T, o identity.CAOptions) *identity.CA {
	t.Helper()
	ca, err := identity.NewCA(o)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// issue writes a certificate of ca into a new directory.
func issue(t *testing.T, ca *identity.CA, r identity.Request) string {
	t.Helper()
	dir := t.TempDir()
	reissue(t, ca, r, dir)
	return dir
}

func reissue(t *testing.T, ca *identity.CA, r identity.Request, dir string) {
	t.Helper()
	b, err := ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir string, o identity.Options) *identity.Source {
	t.Helper()
	s, err := identity.Load(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A met is how both sides saw one connection.
type met struct {
	server, client       error
	serverSaw, clientSaw tls.ConnectionState
}

// meet connects a client to a server and sends one byte each way.
func meet(t *testing.T, server, client *tls.Config) met {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var m met
	var wg sync.WaitGroup
	wg.Go(func() {
		raw, err := l.Accept()
		if err != nil {
			m.server = err
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		m.server = exchange(conn)
		m.serverSaw = conn.ConnectionState()
	})
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	m.client = exchange(conn)
	m.clientSaw = conn.ConnectionState()
	conn.Close()
	wg.Wait()
	return m
}

func exchange(conn *tls.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %q", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q\ndoes not say %q", err, w)
		}
	}
}

func TestPeersOfAZoneMeet(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	a := load(t, issue(t, ca, identity.Request{Node: "a"}), identity.Options{})
	b := load(t, issue(t, ca, identity.Request{Node: "b"}), identity.Options{})
	server, client := b.PeerServer("z1"), a.PeerClient("z1", "b")
	for i := range 3 {
		m := meet(t, server, client)
		if m.server != nil || m.client != nil {
			t.Fatalf("connection %d: server: %v, client: %v", i, m.server, m.client)
		}
		if node, err := identity.Node(m.serverSaw, "z1"); node != "a" || err != nil {
			t.Fatalf("the server saw node %q, %v", node, err)
		}
		if i > 0 && !m.clientSaw.DidResume {
			t.Errorf("connection %d did not resume the session", i)
		}
		if m.clientSaw.Version != tls.VersionTLS13 {
			t.Errorf("TLS version %x", m.clientSaw.Version)
		}
	}
	if got, err := a.Node("z1"); got != "a" || err != nil {
		t.Errorf("a's own node: %q, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	late := newCA(t, identity.CAOptions{Zone: "z1", Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	other := newCA(t, identity.CAOptions{Zone: "z2"})
	var told atomic.Int64
	tell := func(error) { told.Add(1) }
	server := load(t, issue(t, ca, identity.Request{Node: "srv"}), identity.Options{Now: now.Now, Refused: tell})
	good := load(t, issue(t, ca, identity.Request{Node: "a"}), identity.Options{Now: now.Now})
	// One CA for two zones, as cert-manager may have it.
	both := bundleOf(t, other, identity.Request{Node: "a"}, ca)

	for _, c := range []struct {
		name   string
		server *tls.Config
		client *tls.Config
		refuse string // the side whose error counts
		words  []string
	}{
		{
			"no certificate", server.PeerServer("z1"), &tls.Config{InsecureSkipVerify: true}, "server",
			[]string{"no certificate was shown", `"z1"`, "cached certs issue"},
		},
		{
			"wrong CA", server.PeerServer("z1"), plainClient(t, issue(t, newCA(t, identity.CAOptions{Zone: "z1"}), identity.Request{Node: "a"})), "server",
			[]string{"spiffe://cached.internal/zone/z1/node/a", "was issued by", "no CA of", "ca.crt"},
		},
		{
			"wrong zone", load(t, bundleOf(t, ca, identity.Request{Node: "srv"}, other), identity.Options{}).PeerServer("z1"), plainClient(t, both), "server",
			[]string{`node "a" of zone "z2"`, `zone "z1"`},
		},
		{
			"an agent as a peer", server.PeerServer("z1"), plainClient(t, issue(t, ca, identity.Request{Agent: "ag", Tenant: "t"})), "server",
			[]string{`agent "ag" of tenant "t"`, "not of a node"},
		},
		{
			"expired", server.PeerServer("z1"), plainClient(t, issue(t, ca, identity.Request{Node: "a", Lifetime: time.Millisecond})), "server",
			[]string{"zone/z1/node/a", "expired at", "this host's clock says", "later", "renew"},
		},
		{
			"not yet valid", load(t, bundleOf(t, ca, identity.Request{Node: "srv"}, late), identity.Options{}).PeerServer("z1"), plainClient(t, issue(t, late, identity.Request{Node: "a"})), "server",
			[]string{"zone/z1/node/a", "not valid before", "this host's clock says", "too early", "clocks"},
		},
		{
			"another node answers", server.PeerServer("z1"), good.PeerClient("z1", "b"), "client",
			[]string{`node "srv"`, `wanted "b"`},
		},
		{
			"an agent's certificate serves", agentServes(t, ca), good.PeerClient("z1", "srv"), "client",
			[]string{"may not be used as the server's"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			now.add(time.Second) // past the one that expires
			m := meet(t, c.server, c.client)
			err := m.server
			if c.refuse == "client" {
				err = m.client
			}
			wantError(t, err, c.words...)
			if !errors.Is(err, identity.ErrRefused) {
				t.Errorf("%v does not match ErrRefused", err)
			}
			if strings.HasPrefix(c.name, "no certificate") && told.Load() != 1 {
				t.Errorf("told of %d refusals", told.Load())
			}
			if m.server == nil || m.client == nil {
				t.Errorf("one side got through: server %v, client %v", m.server, m.client)
			}
		})
	}
}

// bundleOf issues a certificate and adds the CAs of others to its ca.crt.
func bundleOf(t *testing.T, ca *identity.CA, r identity.Request, others ...*identity.CA) string {
	t.Helper()
	dir := issue(t, ca, r)
	pem := ca.PEM()
	for _, o := range others {
		pem = append(pem, o.PEM()...)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plainClient shows a certificate, whatever it is worth.
func plainClient(t *testing.T, dir string) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}
}

func agentServes(t *testing.T, ca *identity.CA) *tls.Config {
	c := plainClient(t, issue(t, ca, identity.Request{Agent: "srv", Tenant: "t"}))
	c.MinVersion = tls.VersionTLS13
	return c
}

func TestAClockAnHourOffIsNoProblem(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		now := newClock()
		now.add(off)
		a := load(t, issue(t, ca, identity.Request{Node: "a"}), identity.Options{Now: now.Now})
		b := load(t, issue(t, ca, identity.Request{Node: "b"}), identity.Options{})
		if m := meet(t, b.PeerServer("z1"), a.PeerClient("z1", "b")); m.server != nil || m.client != nil {
			t.Errorf("clock %s off: server: %v, client: %v", off, m.server, m.client)
		}
		if m := meet(t, a.PeerServer("z1"), b.PeerClient("z1", "a")); m.server != nil || m.client != nil {
			t.Errorf("server's clock %s off: server: %v, client: %v", off, m.server, m.client)
		}
	}
}

func TestOwnExpiredCertificateIsNamed(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	var log bytes.Buffer
	dir := issue(t, ca, identity.Request{Node: "a", Lifetime: time.Hour})
	a := load(t, dir, identity.Options{Now: now.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	b := load(t, issue(t, ca, identity.Request{Node: "b"}), identity.Options{})
	now.add(2 * time.Hour)
	wantError(t, a.Check(), "tls.crt", "expired at")
	wantError(t, meet(t, b.PeerServer("z1"), a.PeerClient("z1", "b")).client, "this host's own", "expired at")
	wantError(t, meet(t, a.PeerServer("z1"), b.PeerClient("z1", "a")).server, "this host's own", "expired at")
	load(t, dir, identity.Options{Now: now.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))}) // can be renewed in place
	if !strings.Contains(log.String(), "others will refuse") {
		t.Errorf("the log does not say it: %s", &log)
	}
}

func TestAgents(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	node := load(t, issue(t, ca, identity.Request{Node: "n"}), identity.Options{})
	agent := load(t, issue(t, ca, identity.Request{Agent: "host-agent", Tenant: "shop"}), identity.Options{})

	for _, host := range []string{"localhost", "127.0.0.1", "10.9.8.7"} { // the last by the node's name alone
		m := meet(t, node.AgentServer(), agent.AgentClient(host))
		if m.server != nil || m.client != nil {
			t.Fatalf("%s: server: %v, client: %v", host, m.server, m.client)
		}
		got, ok := identity.AgentOf(m.serverSaw)
		if !ok || got.Tenant != "shop" || got.Name != "host-agent" || got.Zone != "z1" || len(got.Names) != 2 {
			t.Fatalf("the server saw %+v, %v", got, ok)
		}
	}
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	anyone, err := identity.HostClient(caFile, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	m := meet(t, node.AgentServer(), anyone)
	if m.server != nil || m.client != nil {
		t.Fatalf("without a certificate: server: %v, client: %v", m.server, m.client)
	}
	if _, ok := identity.AgentOf(m.serverSaw); ok {
		t.Fatal("an agent without a certificate")
	}
	peer := meet(t, node.AgentServer(), plainClient(t, issue(t, ca, identity.Request{Node: "n2"})))
	if _, ok := identity.AgentOf(peer.serverSaw); ok || peer.server != nil {
		t.Fatalf("a node counts as an agent, or: %v", peer.server)
	}
	wantError(t, meet(t, node.AgentServer(), plainClient(t, issue(t, newCA(t, identity.CAOptions{Zone: "z1"}), identity.Request{Agent: "x", Tenant: "shop"}))).server,
		"was issued by")
	stranger := load(t, issue(t, newCA(t, identity.CAOptions{Zone: "z9"}), identity.Request{Node: "n"}), identity.Options{})
	wantError(t, meet(t, stranger.AgentServer(), agent.AgentClient("localhost")).client, "no CA of")
}
