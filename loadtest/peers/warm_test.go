package peers

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
)

// workingSet is what warm reads go through: more than the processors' caches hold, so
// that all caches read memory.
const workingSet = 64 << 20

// TestProvePeersWarm reads objects that every cache holds, in a closed loop: what each
// delivers at most, how long a read takes then, and what it costs.
func TestProvePeersWarm(t *testing.T) {
	if figure.Instrumented {
		t.Skip("rates mean nothing under the race detector, which makes copying slow")
	}
	store := newOrigin()
	peers := start(t, store)
	sizes := pick([]int{256 << 10, 1 << 20}, []int{256 << 10})
	for _, size := range sizes {
		objects := randomObjects(pick(workingSet, 4<<20)/size, size)
		store.add(objects...)
		for _, p := range peers {
			p.readAll(t, objects)
			p.door.idle(t)
			p.door.bytes.Store(0)
		}
		for _, clients := range pick([]int{1, 8, 32}, []int{8}) {
			warm(t, fmt.Sprintf("peers.warm.%dk_%d", size>>10, clients), peers, objects, clients)
		}
		for _, p := range peers {
			if n := p.door.bytes.Load(); n > 0 {
				t.Errorf("%s: reads of what it holds went to the store: %d bytes", p.name, n)
			}
		}
		store.clear()
	}
}

// warm measures peers in turn and reports figures that begin with name.
func warm(t *testing.T, name string, peers []peer, objects []object, clients int) {
	t.Helper()
	rounds, span := pick(11, 2), pick(300*time.Millisecond, 40*time.Millisecond)
	measured := make([]measure, len(peers))
	for i, p := range peers {
		measured[i] = newMeasure(t, p, clients)
		measured[i].run(t, objects, span) // warm up
		measured[i].forget()
	}
	order := rand.New(rand.NewPCG(1, 2)) // no side always follows the same other
	rates := map[string][]float64{}
	for range rounds {
		for _, i := range order.Perm(len(peers)) {
			rates[peers[i].name] = append(rates[peers[i].name], measured[i].run(t, objects, span))
		}
	}
	for _, m := range measured {
		p := m.peer.name
		figure.Report(t, name+"."+p+".gbps", rate.Median(rates[p])/1e9, "GB/s")
		figure.Report(t, name+"."+p+".p50_us", float64(m.latencies.ValueAtQuantile(50))/1e3, "us")
		figure.Report(t, name+"."+p+".p99_us", float64(m.latencies.ValueAtQuantile(99))/1e3, "us")
		figure.Report(t, name+"."+p+".server_s_per_gb", m.server.Seconds()/(m.bytes/1e9), "s/GB")
		figure.Report(t, name+"."+p+".client_s_per_gb", m.client.Seconds()/(m.bytes/1e9), "s/GB")
		if p != ours {
			figure.Report(t, name+".vs_"+p, rate.Ratio(rates, ours, p), "x")
		}
	}
}

// A measure is what clients of a peer have seen so far.
type measure struct {
	peer      peer
	conns     []*rate.Conn
	latencies *hdrhistogram.Histogram // ns
	bytes     float64
	// server and client are the processor's time.
	server, client time.Duration
}

func newMeasure(t *testing.T, p peer, clients int) measure {
	t.Helper()
	m := measure{peer: p}
	for range clients {
		m.conns = append(m.conns, rate.Connect(t, p.address, blockSize))
	}
	m.forget()
	return m
}

func (m *measure) forget() {
	m.latencies = newHistogram()
	m.bytes, m.server, m.client = 0, 0, 0
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute), 3)
}

// run has each client read one object after another, in an order of its own, for about
// span, and returns bytes per second.
func (m *measure) run(t *testing.T, objects []object, span time.Duration) float64 {
	t.Helper()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		moved int
	)
	server, client, start := m.peer.cpu(t), selfCPU(t), time.Now()
	for i, c := range m.conns {
		wg.Go(func() {
			latencies, bytes := newHistogram(), 0
			for n := i * 7; time.Since(start) < span; n++ {
				o := objects[n%len(objects)]
				began := time.Now()
				if err := c.Get(m.peer.path(o), len(o.body), nil); err != nil {
					t.Errorf("%s: %v", m.peer.name, err)
					return
				}
				_ = latencies.RecordValue(int64(time.Since(began)))
				bytes += len(o.body)
			}
			mu.Lock()
			defer mu.Unlock()
			m.latencies.Merge(latencies)
			moved += bytes
		})
	}
	wg.Wait()
	took := time.Since(start)
	m.client += selfCPU(t) - client // before this looks through /proc
	m.server += m.peer.cpu(t) - server
	m.bytes += float64(moved)
	if t.Failed() {
		t.FailNow()
	}
	return float64(moved) / took.Seconds()
}

func selfCPU(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
