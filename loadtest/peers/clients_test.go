package peers

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/internal/testtool"
)

// clients is how many connections the clients of others read over.
const clients = 8

// A seen is what a load client of others printed of one run.
type seen struct {
	perSecond float64 // reads
	p50, p99  time.Duration
}

// TestProvePeersWrk reads warm blocks by wrk: from every cache, and from the daemon also
// by its path for plain clients and by the Connect protocol's GET.
func TestProvePeersWrk(t *testing.T) {
	if figure.Instrumented {
		t.Skip("rates mean nothing under the race detector, which makes copying slow")
	}
	program := testtool.Debian(t, "wrk")
	store := newOrigin()
	var peers []peer
	if figure.Full() {
		peers = start(t, store)
	} else { // wrk takes a second for each: the small version is about wrk
		peers = []peer{startCached(t, "", store.open(t))}
		peers[0].name = ours
	}
	plain, connect := peers[0], peers[0]
	plain.name, plain.path = "alias", alias
	connect.name, connect.path = "connect-get", connectGet
	objects := randomObjects(pick(workingSet, 4<<20)>>18, 256<<10)
	store.add(objects...)
	var sides []side
	for _, p := range peers {
		p.readAll(t, objects)
	}
	for _, p := range append(peers, plain, connect) {
		sides = append(sides, side{p.name, func(span time.Duration) (seen, error) { return wrk(t, program, p, objects, span) }})
	}
	report(t, "peers.wrk", ours, sides, 256<<10)
}

// TestProvePeersGhz reads warm blocks by ghz over gRPC, from the daemon and from a server
// of grpc-go that does nothing but answer.
func TestProvePeersGhz(t *testing.T) {
	if figure.Instrumented {
		t.Skip("rates mean nothing under the race detector, which makes copying slow")
	}
	program := testtool.Go(t, "ghz")
	store := newOrigin()
	objects := randomObjects(pick(workingSet, 4<<20)>>18, 256<<10)
	store.add(objects...)
	daemon, bare := startCached(t, "", store.open(t)), self(t, "grpc-go", store.open(t))
	report(t, "peers.ghz", ours, []side{
		{ours, func(span time.Duration) (seen, error) { return ghz(t, program, daemon, objects, span) }},
		{"grpc-go", func(span time.Duration) (seen, error) { return ghz(t, program, bare, objects, span) }},
	}, 256<<10)
}

// A side is a server, read by a client of others for about span.
type side struct {
	name string
	run  func(span time.Duration) (seen, error)
}

// report runs all sides in turn and reports figures that begin with name.
func report(t *testing.T, name, first string, sides []side, size int) {
	t.Helper()
	rounds, span := pick(3, 1), pick(2*time.Second, 200*time.Millisecond)
	rates, p50, p99 := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	order := rand.New(rand.NewPCG(1, 2)) // no side always follows the same other
	for round := range rounds + 1 {
		for _, i := range order.Perm(len(sides)) {
			s := sides[i]
			got, err := s.run(span)
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			if round == 0 {
				continue // warm up
			}
			rates[s.name] = append(rates[s.name], got.perSecond*float64(size))
			p50[s.name] = append(p50[s.name], got.p50.Seconds()*1e6)
			p99[s.name] = append(p99[s.name], got.p99.Seconds()*1e6)
		}
	}
	for _, s := range sides {
		figure.Report(t, name+"."+s.name+".gbps", rate.Median(rates[s.name])/1e9, "GB/s")
		figure.Report(t, name+"."+s.name+".p50_us", rate.Median(p50[s.name]), "us")
		figure.Report(t, name+"."+s.name+".p99_us", rate.Median(p99[s.name]), "us")
		if s.name != first {
			figure.Report(t, name+".vs_"+s.name, rate.Ratio(rates, first, s.name), "x")
		}
	}
}
