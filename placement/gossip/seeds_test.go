package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

func TestParseSeed(t *testing.T) {
	for text, want := range map[string]seed{
		"10.0.0.1:7000":          {host: "10.0.0.1", port: 7000},
		"10.0.0.1":               {host: "10.0.0.1", port: 7946},
		"[fe80::1]:7000":         {host: "fe80::1", port: 7000},
		"[::1]":                  {host: "::1", port: 7946},
		"::1":                    {host: "::1", port: 7946},
		"cached.default.svc":     {host: "cached.default.svc", port: 7946},
		"cached:7000":            {host: "cached", port: 7000},
		"srv+_g._udp.cached.svc": {host: "_g._udp.cached.svc", srv: true},
		"_gossip._tcp.cached":    {host: "_gossip._tcp.cached", srv: true},
	} {
		want.text = text
		if got, err := parseSeed(text, 7946); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":7000", "host:0", "host:x", "host:70000", "a/b", "a b", "srv+", "srv+a:1", "user@host:1", "1:2:3:x"} {
		if got, err := parseSeed(text, 7946); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

// A nameServer is a real DNS server whose answers a test can change.
type nameServer struct {
	mu      sync.Mutex
	records map[string][]string // question "NAME TYPE" to records
}

func (s *nameServer) set(question string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[question] = records
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(q)
	question := q.Question[0]
	s.mu.Lock()
	known := false
	for key, records := range s.records {
		name, kind, _ := strings.Cut(key, " ")
		if name != strings.ToLower(question.Name) {
			continue
		}
		known = true
		if kind != dns.TypeToString[question.Qtype] {
			continue
		}
		for _, text := range records {
			record, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			answer.Answer = append(answer.Answer, record)
		}
	}
	s.mu.Unlock()
	if !known {
		answer.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(answer)
}

// dnsServer starts a name server on loopback and returns a resolver that asks it.
func dnsServer(tb testing.TB) (*nameServer, *net.Resolver) {
	tb.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	names := &nameServer{records: map[string][]string{}}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, Handler: names, NotifyStartedFunc: func() { close(started) }}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-started
	tb.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			tb.Error(err)
		}
		<-done
	})
	return names, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestResolve(t *testing.T) {
	names, resolver := dnsServer(t)
	names.set("cached.test. A", "cached.test. 5 IN A 10.0.0.1", "cached.test. 5 IN A 10.0.0.2")
	names.set("cached.test. AAAA", "cached.test. 5 IN AAAA fd00::1")
	names.set("a.test. A", "a.test. 5 IN A 10.0.0.3")
	names.set("_gossip._tcp.cached.test. SRV", "_gossip._tcp.cached.test. 5 IN SRV 0 0 7001 a.test.",
		"_gossip._tcp.cached.test. 5 IN SRV 0 0 7002 gone.test.", "_gossip._tcp.cached.test. 5 IN SRV 0 0 7003 cached.test.")
	for text, want := range map[string]string{
		"10.1.1.1:5":                    "[10.1.1.1:5]",
		"cached.test.:7000":             "[10.0.0.1:7000 10.0.0.2:7000 [fd00::1]:7000]",
		"cached.test.":                  "[10.0.0.1:7946 10.0.0.2:7946 [fd00::1]:7946]",
		"srv+_gossip._tcp.cached.test.": "[10.0.0.1:7003 10.0.0.2:7003 10.0.0.3:7001 [fd00::1]:7003]",
	} {
		s, err := parseSeed(text, 7946)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.resolve(t.Context(), resolver)
		slices.SortFunc(got, netip.AddrPort.Compare)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, %v; want %s", text, got, err, want)
		}
	}
	s, _ := parseSeed("srv+_gossip._tcp.nobody.test.", 7946)
	if got, err := s.resolve(t.Context(), resolver); err == nil {
		t.Errorf("found %v behind a name that does not exist", got)
	}
}

// A zone that starts before its names exist finds itself when they do.
func TestNamesAreResolvedAgain(t *testing.T) {
	t.Parallel()
	names, resolver := dnsServer(t)
	log := &book{}
	var all []*Membership
	for i := range 3 {
		o := options(fmt.Sprintf("n%d", i), "srv+_gossip._tcp.cached.test.")
		o.Resolver, o.Logger = resolver, log.logger()
		all = append(all, open(t, o))
	}
	log.says(t, "seed cannot be resolved")
	var srv []string
	for i, m := range all {
		names.set(fmt.Sprintf("n%d.test. A", i), fmt.Sprintf("n%d.test. 5 IN A 127.0.0.1", i))
		srv = append(srv, fmt.Sprintf("_gossip._tcp.cached.test. 5 IN SRV 0 0 %d n%d.test.", m.Address().Port(), i))
	}
	names.set("_gossip._tcp.cached.test. SRV", srv...)
	rings(t, all, "n0", "n1", "n2")
}
