package identity_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/identity"
)

func TestLayouts(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	b, err := ca.Issue(identity.Request{Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][3]string{{"tls.crt", "tls.key", "ca.crt"}, {"svid.pem", "svid_key.pem", "svid_bundle.pem"}} {
		dir := t.TempDir()
		for i, p := range [][]byte{b.Cert, b.Key, b.CA} {
			if err := os.WriteFile(filepath.Join(dir, names[i]), p, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if node, err := load(t, dir, identity.Options{}).Node("z1"); node != "a" || err != nil {
			t.Errorf("%s: node %q, %v", names[0], node, err)
		}
		for _, missing := range names[1:] {
			p, _ := os.ReadFile(filepath.Join(dir, missing))
			_ = os.Remove(filepath.Join(dir, missing))
			_, err := identity.Load(dir, identity.Options{})
			wantError(t, err, missing)
			_ = os.WriteFile(filepath.Join(dir, missing), p, 0o600)
		}
	}
}

func TestBadDirectories(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	for _, c := range []struct {
		name  string
		spoil func(dir string)
		words []string
	}{
		{"empty", func(dir string) { clear(t, dir) }, []string{"neither tls.crt", "svid.pem"}},
		{"absent", func(dir string) { os.RemoveAll(dir) }, []string{"no such file"}},
		{"both", func(dir string) { write(t, dir, "svid.pem", "x") }, []string{"both tls.crt and svid.pem"}},
		{"no PEM", func(dir string) { write(t, dir, "tls.crt", "hello") }, []string{"tls.crt with tls.key", "PEM"}},
		{"another's key", func(dir string) { copyFile(t, issue(t, ca, identity.Request{Node: "b"}), dir, "tls.key") }, []string{"tls.crt with tls.key", "does not match"}},
		{"no CA in it", func(dir string) { write(t, dir, "ca.crt", "nothing\n") }, []string{"ca.crt", "CERTIFICATE"}},
		{"another CA", func(dir string) {
			copyFile(t, issue(t, newCA(t, identity.CAOptions{Zone: "z1"}), identity.Request{Node: "b"}), dir, "ca.crt")
		}, []string{"issued by", "beside it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := issue(t, ca, identity.Request{Node: "a"})
			c.spoil(dir)
			_, err := identity.Load(dir, identity.Options{})
			wantError(t, err, c.words...)
		})
	}
	s := load(t, issue(t, ca, identity.Request{Node: "a"}), identity.Options{})
	_, err := s.Node("z2")
	wantError(t, err, "tls.crt", `node "a" of zone "z1"`, `"z2"`)
}

func clear(t *testing.T, dir string) {
	t.Helper()
	for _, n := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.Remove(filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, name, string(p))
}

func TestRenewedWithoutRestart(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	var log bytes.Buffer
	dir := issue(t, ca, identity.Request{Node: "a", Lifetime: time.Hour})
	s := load(t, dir, identity.Options{Now: now.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	first := s.NotAfter()

	reissue(t, ca, identity.Request{Node: "a", Lifetime: 2 * time.Hour}, dir)
	if !s.NotAfter().Equal(first) {
		t.Error("read again at once, without waiting for the next look")
	}
	now.add(5 * time.Second)
	if !s.NotAfter().After(first) {
		t.Fatal("the new certificate is not used")
	}
	if n := strings.Count(log.String(), "read again"); n != 1 {
		t.Errorf("%d lines about it: %s", n, &log)
	}
	now.add(time.Hour + 40*time.Minute)
	s.NotAfter()
	if !strings.Contains(log.String(), "ends soon") {
		t.Errorf("no warning before the end: %s", &log)
	}
}

// The holder is the same after a renewal, and nobody else.
func TestHolders(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	of := func(r identity.Request) string { return load(t, issue(t, ca, r), identity.Options{}).Holder() }
	shop := of(identity.Request{Agent: "a", Tenant: "shop"})
	if again := of(identity.Request{Agent: "a", Tenant: "shop"}); again != shop {
		t.Errorf("%s, renewed %s", shop, again)
	}
	for _, r := range []identity.Request{{Agent: "a", Tenant: "bank"}, {Agent: "b", Tenant: "shop"}, {Node: "a"}} {
		if other := of(r); other == shop {
			t.Errorf("%+v is %s", r, other)
		}
	}
}

func TestBrokenFilesLeaveTheOldInForce(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	var log bytes.Buffer
	dir := issue(t, ca, identity.Request{Node: "a"})
	a := load(t, dir, identity.Options{Now: now.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	b := load(t, issue(t, ca, identity.Request{Node: "b"}), identity.Options{})

	write(t, dir, "tls.crt", "half a certifica")
	for range 5 {
		now.add(5 * time.Second)
		if m := meet(t, b.PeerServer("z1"), a.PeerClient("z1", "b")); m.server != nil || m.client != nil {
			t.Fatalf("server: %v, client: %v", m.server, m.client)
		}
	}
	if n := strings.Count(log.String(), "keeping what was there"); n != 1 {
		t.Errorf("%d lines about it, want 1: %s", n, &log)
	}
	// A new one that nobody would accept yet does not replace one that works.
	late := newCA(t, identity.CAOptions{Zone: "z1", Now: func() time.Time { return time.Now().Add(72 * time.Hour) }})
	reissue(t, late, identity.Request{Node: "a"}, dir)
	now.add(5 * time.Second)
	if err := a.Check(); err != nil {
		t.Errorf("gave up the one that works: %v", err)
	}
	reissue(t, ca, identity.Request{Node: "a"}, dir)
	now.add(5 * time.Second)
	a.NotAfter()
	if !strings.Contains(log.String(), "read again") {
		t.Errorf("files that are whole again are not used: %s", &log)
	}
}

func TestCARotation(t *testing.T) {
	now := newClock()
	old, next := newCA(t, identity.CAOptions{Zone: "z1"}), newCA(t, identity.CAOptions{Zone: "z1"})
	dirA, dirB := issue(t, old, identity.Request{Node: "a"}), issue(t, old, identity.Request{Node: "b"})
	a, b := load(t, dirA, identity.Options{Now: now.Now}), load(t, dirB, identity.Options{Now: now.Now})
	server, client := b.PeerServer("z1"), a.PeerClient("z1", "b")
	both := string(old.PEM()) + string(next.PEM())

	check := func(step string) {
		t.Helper()
		now.add(5 * time.Second)
		if m := meet(t, server, client); m.server != nil || m.client != nil {
			t.Fatalf("%s: server: %v, client: %v", step, m.server, m.client)
		}
	}
	check("before")
	write(t, dirA, "ca.crt", both)
	check("a trusts both")
	write(t, dirB, "ca.crt", both)
	check("b trusts both")
	reissue(t, next, identity.Request{Node: "a"}, dirA)
	write(t, dirA, "ca.crt", both)
	check("a has a new certificate")
	reissue(t, next, identity.Request{Node: "b"}, dirB)
	check("b has one and trusts the new CA alone")
	reissue(t, next, identity.Request{Node: "a"}, dirA)
	check("after")

	// A session of the old CA does not outlive the trust in it.
	reissue(t, old, identity.Request{Node: "a"}, dirA)
	write(t, dirA, "ca.crt", both)
	now.add(5 * time.Second)
	if m := meet(t, server, client); m.server == nil {
		t.Fatal("a certificate of the old CA is accepted")
	}
}

// TestConnectionsOutliveARenewal keeps one connection while its certificates change.
func TestConnectionsOutliveARenewal(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	dir := issue(t, ca, identity.Request{Node: "a"})
	a := load(t, dir, identity.Options{Now: now.Now})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echoed := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			echoed <- err
			return
		}
		conn := tls.Server(raw, a.PeerServer("z1"))
		defer conn.Close()
		p := make([]byte, 1)
		for {
			if _, err := conn.Read(p); err != nil {
				echoed <- nil
				return
			}
			_, _ = conn.Write(p)
		}
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), a.PeerClient("z1", "a"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		reissue(t, ca, identity.Request{Node: "a"}, dir)
		now.add(5 * time.Second)
		a.NotAfter()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	if err := <-echoed; err != nil {
		t.Fatal(err)
	}
}

func TestCAIsNotOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	if err := ca.Write(dir); err != nil {
		t.Fatal(err)
	}
	err := newCA(t, identity.CAOptions{Zone: "z1"}).Write(dir)
	wantError(t, err, "holds a CA already")
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v does not match fs.ErrExist", err)
	}
	st, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", st.Mode(), err)
	}
	again, err := identity.OpenCA(dir)
	if err != nil || again.Zone() != "z1" || !again.NotAfter().Equal(ca.NotAfter()) {
		t.Fatalf("opened %+v, %v", again, err)
	}
	out := issue(t, again, identity.Request{Node: "a"})
	for name, mode := range map[string]fs.FileMode{"tls.key": 0o600, "tls.crt": 0o644, "ca.crt": 0o644} {
		if st, err := os.Stat(filepath.Join(out, name)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v, want %v", name, st.Mode(), err, mode)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(out, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	_, err = identity.OpenCA(out)
	wantError(t, err, "cached certs init")
}

func TestBadRequests(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1", Domains: []string{"dc1.example"}})
	for _, c := range []struct {
		r     identity.Request
		words []string
	}{
		{identity.Request{}, []string{"name"}},
		{identity.Request{Node: "A"}, []string{"name", "a-z"}},
		{identity.Request{Node: "a/b"}, []string{"a/b"}},
		{identity.Request{Node: strings.Repeat("n", 64)}, []string{"63"}},
		{identity.Request{Node: "a", Tenant: "t"}, []string{"not both"}},
		{identity.Request{Agent: "a"}, []string{"name"}},
		{identity.Request{Agent: "a", Tenant: "t", Hosts: []string{"h.dc1.example"}}, []string{"serves nobody"}},
		{identity.Request{Node: "a", Hosts: []string{"www.bank.example"}}, []string{"dc1.example", "--domain"}},
	} {
		_, err := ca.Issue(c.r)
		wantError(t, err, c.words...)
	}
	if _, err := ca.Issue(identity.Request{Node: "a", Hosts: []string{"h1.dc1.example", "10.0.0.1"}}); err != nil {
		t.Errorf("hosts of the domain: %v", err)
	}
	for _, zone := range []string{"", "Z", "a b", "../x"} {
		if _, err := identity.NewCA(identity.CAOptions{Zone: zone}); err == nil {
			t.Errorf("a CA of zone %q", zone)
		}
	}
	b, err := newCA(t, identity.CAOptions{Zone: "z1", Lifetime: time.Hour}).Issue(identity.Request{Node: "a"})
	if err != nil || time.Until(b.NotAfter) > time.Hour {
		t.Errorf("beyond the CA's end: %v, %v", b.NotAfter, err)
	}
}

func TestInspect(t *testing.T) {
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	dir := issue(t, ca, identity.Request{Node: "a"})
	all, err := identity.Inspect(dir, time.Now())
	if err != nil || len(all) != 2 || all[0].For != `node "a" of zone "z1"` || all[0].Problem != "" || !all[1].CA {
		t.Fatalf("%+v, %v", all, err)
	}
	all, err = identity.Inspect(dir, time.Now().Add(2*identity.DefaultLifetime))
	if err != nil || !strings.Contains(all[0].Problem, "expired") {
		t.Fatalf("%+v, %v", all, err)
	}
	caDir := filepath.Join(t.TempDir(), "ca")
	if err := ca.Write(caDir); err != nil {
		t.Fatal(err)
	}
	if all, err = identity.Inspect(caDir, time.Now()); err != nil || len(all) != 1 || !all[0].CA {
		t.Fatalf("%+v, %v", all, err)
	}
	_, err = identity.Inspect(t.TempDir(), time.Now())
	if err == nil {
		t.Fatal("an empty directory has certificates")
	}
}

// TestASessionEndsWithItsCertificate resumes a session made with a certificate
// that has been replaced by then: the client must not be stuck with it.
func TestASessionEndsWithItsCertificate(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	dir := issue(t, ca, identity.Request{Node: "a", Lifetime: time.Hour})
	a := load(t, dir, identity.Options{Now: now.Now})
	b := load(t, issue(t, ca, identity.Request{Node: "b"}), identity.Options{Now: now.Now})
	server, client := b.PeerServer("z1"), a.PeerClient("z1", "b")
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1) // one that does not know of the renewal
	for _, step := range []struct {
		name   string
		add    time.Duration
		resume bool
	}{{"first", 0, false}, {"second", 0, true}, {"after the end of the first certificate", 2 * time.Hour, false}, {"and again", 0, true}} {
		now.add(step.add)
		if step.add > 0 {
			reissue(t, ca, identity.Request{Node: "a"}, dir)
			now.add(5 * time.Second)
		}
		m := meet(t, server, client)
		if m.server != nil || m.client != nil {
			t.Fatalf("%s: server: %v, client: %v", step.name, m.server, m.client)
		}
		if m.clientSaw.DidResume != step.resume {
			t.Errorf("%s: resumed %v, want %v", step.name, m.clientSaw.DidResume, step.resume)
		}
	}
}

// Found by a user: files of another node, copied into a running one's directory,
// made it that node.
func TestAnotherNodesFilesAreNotAdopted(t *testing.T) {
	now := newClock()
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	var log bytes.Buffer
	dir := issue(t, ca, identity.Request{Node: "a"})
	s := load(t, dir, identity.Options{Now: now.Now, Logger: slog.New(slog.NewTextHandler(&log, nil)), Accept: identity.OfNode("z1", "a")})
	reissue(t, ca, identity.Request{Node: "b"}, dir)
	for range 3 {
		now.add(5 * time.Second)
		if node, err := s.Node("z1"); node != "a" || err != nil {
			t.Fatalf("the node is %q now, %v", node, err)
		}
	}
	if !strings.Contains(log.String(), `is of node \"b\", this is node \"a\"`) {
		t.Errorf("log: %s", &log)
	}
	_, err := identity.Load(dir, identity.Options{Accept: identity.OfNode("z1", "a")})
	wantError(t, err, "tls.crt", `of node "b"`)
}
