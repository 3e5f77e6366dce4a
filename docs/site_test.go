package docs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/promtest"
	"github.com/zonecache/cached/internal/testtool"
)

// A site is what a runbook is for: the hosts of a zone with their daemons, an object store,
// and a Prometheus with the rules of the chart. One is the machine on which an operator has
// logged in: h1, with the paths and ports of docs/operate.md.
type site struct {
	*testing.T
	prometheus *promtest.Server
	store      *store
	hosts      map[string]*host

	fired, over map[string]bool // alerts
}

// A host is a daemon of the site.
type host struct {
	name, ip, dir string // dir has what is h1's in /etc/cached
	data          string
	flags         []string
	process       *testtool.Process
}

// siteOptions are what differs from site to site.
type siteOptions struct {
	l1, l2 string // of each host; "": 64MiB
}

// scale is by how much faster time passes for the rules: five minutes are three seconds.
const scale = 100

const scrape = 500 * time.Millisecond

func newSite(t *testing.T, o siteOptions) *site {
	t.Helper()
	if o.l1 == "" {
		o.l1 = "64MiB"
	}
	if o.l2 == "" {
		o.l2 = "64MiB"
	}
	s := &site{T: t, hosts: map[string]*host{}, store: newStore(t), fired: map[string]bool{}, over: map[string]bool{}}
	must(t, "cached", "certs", "init", "--dir", "/srv/ca", "--zone", "eu-1a")
	keys := s.output("cached", "certs", "gossip-key")
	seeds, targets := []string{}, []promtest.Target{}
	for i, name := range []string{"h1", "h2", "h3"} {
		h := &host{name: name, ip: fmt.Sprintf("10.0.0.%d", i+1), dir: "/srv/" + name, data: "/srv/" + name + "/data"}
		admin := h.ip + ":7071"
		h.flags = []string{"--data-dir", h.data, "--listen", h.ip + ":7070", "--insecure", "--admin", admin, "--insecure-admin"}
		if name == "h1" {
			h.dir, h.data, h.flags, admin = "/etc/cached", "/var/lib/cached", nil, "127.0.0.1:7071"
		}
		givenDir(t, h.data)
		must(t, "cached", "certs", "issue", "--ca", "/srv/ca", "--node", name, "--out", h.dir+"/zone-tls")
		put(t, h.dir+"/gossip.keys", []byte(keys), 0o600)
		s.hosts[name] = h
		seeds = append(seeds, h.ip+":7946")
		targets = append(targets, promtest.Target{Address: admin, Labels: map[string]string{"cluster": "c1", "zone": "eu-1a", "node": name}})
	}
	for _, h := range s.hosts {
		put(t, h.dir+"/cached.yaml", []byte(fmt.Sprintf(`data-dir: %s
origins: ["%s"]
l1: {size: %s}
l2: {size: %s, min-free: 0}
zone:
  name: eu-1a
  node: %s
  peer-listen: %s:7072
  gossip: %s:7946
  seeds: [%s]
  tls: %s/zone-tls
  gossip-keys: %s/gossip.keys
`, h.data, s.store.url, o.l1, o.l2, h.name, h.ip, h.ip, strings.Join(seeds, ", "), h.dir, h.dir)), 0o600)
	}
	s.watch(targets)
	return s
}

// watch starts Prometheus.
func (s *site) watch(targets []promtest.Target) {
	s.Helper()
	rules, err := os.ReadFile(filepath.Join(root, "helm", "cached", "rules", "cached.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	if rules, err = promtest.Scale(rules, scale); err != nil {
		s.Fatal(err)
	}
	put(s.T, "/srv/rules.yaml", rules, 0o644)
	s.prometheus = promtest.Start(s.T, promtest.Options{Targets: targets, Rules: "/srv/rules.yaml", Scrape: scrape, Evaluate: scrape})
}

// start starts daemons, and waits until they see each other.
func (s *site) start(names ...string) {
	s.Helper()
	for _, name := range names {
		h := s.hosts[name]
		cmd := exec.Command("cached", append([]string{"serve", "--config", h.dir + "/cached.yaml"}, h.flags...)...)
		cmd.Env = append(environ(s.T), storeKeys...)
		address := h.ip + ":7071"
		if name == "h1" {
			address = "127.0.0.1:7071"
		}
		h.process = testtool.Start(s.T, cmd, testtool.Answering("http://"+address+"/healthz"))
	}
}

// restart restarts one host after the other with more flags.
func (s *site) restart(flags ...string) {
	s.Helper()
	for _, name := range []string{"h1", "h2", "h3"} {
		s.hosts[name].process.Stop()
		s.hosts[name].flags = append(s.hosts[name].flags, flags...)
		s.start(name)
	}
}

// settle waits until all is well, by the rules too: what fires later is the fault's.
func (s *site) settle() {
	s.Helper()
	n := len(s.hosts)
	s.prometheus.Await(s.T, fmt.Sprintf("count(cached_ring_members == %d) == %d and sum(up) == %d", n, n, n))
	s.quiet()
}

// quiet waits until no alert fires.
func (s *site) quiet() {
	s.Helper()
	s.poll("no alert", func() (bool, any) {
		firing, err := s.prometheus.Alerts()
		return err == nil && len(firing) == 0, firing
	})
}

// fires waits until an alert does.
func (s *site) fires(name string) promtest.Alert {
	s.Helper()
	var found promtest.Alert
	s.poll(name+" fires", func() (bool, any) {
		firing, err := s.prometheus.Alerts()
		for _, a := range firing {
			if a.Labels["alertname"] == name {
				found = a
				return true, nil
			}
		}
		return false, fmt.Sprint(firing, err)
	})
	s.fired[name] = true
	s.Logf("%s: %s", name, found.Annotations["summary"])
	return found
}

// clears waits until an alert does not fire any more.
func (s *site) clears(name string) {
	s.Helper()
	s.poll(name+" is over", func() (bool, any) {
		firing, err := s.prometheus.Alerts()
		for _, a := range firing {
			if a.Labels["alertname"] == name {
				return false, a
			}
		}
		return err == nil, err
	})
	s.over[name] = true
}

// poll waits for what other processes do.
func (s *site) poll(what string, done func() (bool, any)) {
	s.Helper()
	for late := time.After(4 * time.Minute); ; {
		ok, state := done()
		if ok {
			return
		}
		select {
		case <-late:
			s.Fatalf("never: %s: %v", what, state)
		case <-time.After(scrape / 2):
		}
	}
}

// says waits until a command prints something.
func (s *site) says(what, name string, args ...string) {
	s.Helper()
	s.poll(name+" says "+what, func() (bool, any) {
		out, err := exec.Command(name, args...).CombinedOutput()
		return err == nil && strings.Contains(string(out), what), string(out)
	})
}

func (s *site) output(name string, args ...string) string {
	s.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(environ(s.T), storeKeys...)
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// publish publishes random bytes and returns the ids of their blocks.
func (s *site) publish(name string, size int) []string {
	s.Helper()
	put(s.T, "/srv/bytes", blocktest.Bytes(uint64(len(name)+size), size), 0o600)
	s.output("cached", "publish", "file:/srv/bytes", "--name", name, "--origin", s.store.url)
	return s.blocks(name)
}

// blocks returns the ids of an image's blocks, in order.
func (s *site) blocks(name string) (ids []string) {
	s.Helper()
	var shown struct {
		Blocks []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(s.output("cached", "images", "show", name, "--json")), &shown); err != nil {
		s.Fatal(err)
	}
	for _, b := range shown.Blocks {
		ids = append(ids, b.ID)
	}
	return ids
}

// A store is an S3 server with something in front of it that can fail.
type store struct {
	url    string
	dir    string // the bucket
	server *http.Server
	proxy  http.Handler
	handle http.Handler // proxy, or the fault
	// fault handles a request, and reports whether it did; nil: none.
	fault atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

// Where the store is, and the copy of it.
const storeAddress, copyAddress = "10.0.0.9:9000", "10.0.0.9:9002"

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{url: "s3://images?endpoint=http://" + storeAddress + "&region=eu-1", dir: "/srv/s3/images"}
	givenDir(t, s.dir)
	cmd := exec.Command("/usr/local/bin/versitygw", "--port", "127.0.0.1:9001", "--region", "eu-1", "--quiet", "posix", filepath.Dir(s.dir))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=...", "ROOT_SECRET_KEY=...")
	testtool.Start(t, cmd, testtool.Listening("127.0.0.1:9001"))
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	s.proxy = &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "127.0.0.1:9001"})
		r.Out.Host = r.In.Host // it is signed
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)} // of readers that leave
	s.handle = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := s.fault.Load(); fault == nil || !(*fault)(w, r) {
			s.proxy.ServeHTTP(w, r)
		}
	})
	s.up(t)
	t.Cleanup(s.down)
	return s
}

// another makes a copy of the store that has no fault, and returns its URL.
func (s *store) another(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", copyAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.proxy}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return strings.Replace(s.url, storeAddress, copyAddress, 1)
}

// up lets the store answer.
func (s *store) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", storeAddress)
	if err != nil {
		t.Fatal(err)
	}
	s.server = &http.Server{Handler: s.handle}
	go func() { _ = s.server.Serve(l) }() // until down
}

// down lets nobody answer at the store's address.
func (s *store) down() { _ = s.server.Close() }

// A crowd reads blocks from a host until it is stopped.
type crowd struct {
	stop context.CancelFunc
	wait sync.WaitGroup
}

// read has n readers take blocks from a host, again and again, the blocks that next gives.
func (s *site) read(name string, n int, next func() string) *crowd {
	s.Helper()
	address := s.hosts[name].ip
	if name == "h1" {
		address = "127.0.0.1"
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{stop: cancel}
	transport := &http.Transport{MaxIdleConnsPerHost: n}
	for range n {
		c.wait.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+":7070/blocks/"+next(), http.NoBody)
				if err != nil {
					return
				}
				resp, err := transport.RoundTrip(req)
				if err == nil {
					resp.Body.Close()
				}
				select { // a thousand reads a second are enough
				case <-ctx.Done():
				case <-time.After(time.Duration(n) * time.Millisecond):
				}
			}
		})
	}
	s.Cleanup(func() { c.end(); transport.CloseIdleConnections() })
	return c
}

func (c *crowd) end() { c.stop(); c.wait.Wait() }

// inTurn returns each block of an image, again and again.
func inTurn(image string, ids []string) func() string {
	var n atomic.Int64
	return func() string { return ids[int(n.Add(1))%len(ids)] + "?image=" + image }
}
