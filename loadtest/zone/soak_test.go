package zone_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/loadtest/zone"
)

// SoakEnv sets how long TestProveZoneSoak takes, as "30m", instead of its own
// choice.
const soakEnv = "ZONE_SOAK"

// A soak is a zone under load to which something happens in every round.
type soak struct {
	*field
	t      *testing.T
	random *rand.Rand
	liar   *zone.Liar
	spell  time.Duration // how long something lasts
	calm   int           // so many nodes are never ended, frozen or restarted
	effect string        // what the latest fault did that can be seen
}

// A fault is something that happens to a zone. It returns the nodes whose agents
// cannot be held to anything, and what ends it. Where it can, it fails a test in
// which it did nothing.
type fault struct {
	name  string
	begin func(*soak) (victims []*zone.Node, end func())
}

func (s *soak) wait() { <-time.After(s.spell) } // a fault lasts, it has no other end

// victim is any node but the calm ones.
func (s *soak) victim() *zone.Node { return s.Nodes[s.calm+s.random.IntN(len(s.Nodes)-s.calm)] }

var faults = []fault{
	{"nothing", func(*soak) ([]*zone.Node, func()) { return nil, func() {} }},
	{"killed", func(s *soak) ([]*zone.Node, func()) {
		n := s.victim()
		n.Kill()
		return []*zone.Node{n}, func() { n.Start(s.t) }
	}},
	{"restarted", func(s *soak) ([]*zone.Node, func()) {
		n := s.victim()
		n.Stop()
		return nil, func() { n.Start(s.t) }
	}},
	{"frozen", func(s *soak) ([]*zone.Node, func()) {
		n := s.victim()
		n.Freeze()
		return nil, n.Thaw
	}},
	{"slow", func(s *soak) ([]*zone.Node, func()) {
		n := s.victim()
		link := n.Host.Link()
		n.Host.SetLink(netlab.Link{Rate: link.Rate / 10})
		return nil, func() { n.Host.SetLink(link) }
	}},
	{"partitioned", func(s *soak) ([]*zone.Node, func()) {
		hosts := s.hosts()
		cut := 1 + s.random.IntN(len(hosts)-1)
		s.Lab.Partition(hosts[:cut], hosts[cut:])
		return nil, s.Lab.Heal
	}},
	{"deaf", func(s *soak) ([]*zone.Node, func()) { // what it says arrives, what it is told does not
		hosts := s.hosts()
		s.Lab.Cut(hosts[1:], hosts[:1])
		return nil, s.Lab.Heal
	}},
	{"corrupt", func(s *soak) ([]*zone.Node, func()) {
		before := s.lies()
		s.liar.Start(s.t)
		return nil, func() {
			// Its members forget what it did when it leaves.
			after := s.awaitLies(before)
			s.effect = fmt.Sprintf("%d lies", after-before)
			s.liar.Stop()
		}
	}},
}

// hosts returns the nodes' hosts in random order.
func (s *soak) hosts() []*netlab.Host {
	hosts := make([]*netlab.Host, len(s.Nodes))
	for i, j := range s.random.Perm(len(s.Nodes)) {
		hosts[i] = s.Nodes[j].Host
	}
	return hosts
}

// lies returns how many wrong blocks the nodes say their peers have sent them.
func (s *soak) lies() uint64 {
	sum := uint64(0)
	for _, n := range s.Nodes {
		_, wrong := n.Troubles(s.t)
		sum += wrong
	}
	return sum
}

// awaitLies waits for a lie: the agents of a busy machine may come to their first
// reads after the spell.
func (s *soak) awaitLies(before uint64) uint64 {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); s.wait() {
		if after := s.lies(); after > before {
			return after
		}
	}
	s.t.Error("the liar has lied to nobody")
	return before
}

// round lets all hosts read a new image all the time, and start another one when
// f has just begun: what f does must meet blocks that nobody has yet.
func (s *soak) round(i int, f fault, image int64) (failed, wrong int64) {
	before, amid := fmt.Sprintf("round-%d", i), fmt.Sprintf("amid-%d", i)
	img := s.publish(s.t, before, image, uint64(i)<<32+1)
	cold := s.publish(s.t, amid, image, uint64(i)<<32+2)
	s.effect = ""
	mark := s.Store.Mark(s.t)
	flags := []string{"-loop", "-parallel", "4", "-pause", "40ms", "-patience", "1m", "-timeout", "2m"}
	agents := zone.Agents(s.t, s.Nodes, append(flags, "-image", before)...)
	later := zone.Agents(s.t, s.Nodes, append(flags, "-image", amid)...)
	zone.Go(s.t, agents)
	s.wait()
	victims, end := f.begin(s)
	zone.Go(s.t, later)
	agents = append(agents, later...)
	s.wait()
	end()
	s.wait()
	for _, a := range agents {
		a.End()
	}
	var blocks, refused int64
	for _, a := range agents {
		if slices.Contains(victims, a.Node) {
			a.Kill() // its reads were broken off with its daemon
			continue
		}
		r := a.Report(s.t)
		failed, wrong, blocks, refused = failed+r.Failed, wrong+r.Wrong, blocks+r.Blocks, refused+r.Refused
		if r.Failed > 0 {
			s.t.Errorf("round %d, %s: %s: %d reads failed, %d of them wrong: %v", i, f.name, a.Node.Name, r.Failed, r.Wrong, r.Errors)
		}
	}
	reads := s.Store.Reads(s.t, mark)
	if f.name == "restarted" && refused == 0 {
		s.t.Error("nobody noticed that a daemon was away")
	}
	s.t.Logf("round %d, %s: %d reads, %d failed, %d wrong, refused by a daemon that was away %d; origin: %.2f reads for each of %d blocks; %s",
		i, f.name, blocks, failed, wrong, refused, float64(reads.Total)/float64(img.Blocks+cold.Blocks), img.Blocks+cold.Blocks, s.effect)
	return failed, wrong
}

// TestProveZoneSoak reads new images all the time while nodes are killed,
// restarted, frozen, slowed, cut off and lied to. The origin is up, so that no
// read may fail.
func TestProveZoneSoak(t *testing.T) {
	alone(t)
	measureSoak(t, own())
}

func measureSoak(t *testing.T, f *fields) {
	o := options(t, zone.Redirect)
	o.Image, o.L1, o.L2 = 1<<20, "16MiB", "64MiB"
	spell, image, lasts := 250*time.Millisecond, int64(2<<20), time.Duration(0)
	if figure.Full() {
		o.Nodes, spell, image, lasts = 8, 5*time.Second, 24<<20, 30*time.Minute
	}
	if d, err := time.ParseDuration(os.Getenv(soakEnv)); err == nil {
		lasts = d
	}
	s := &soak{field: f.start(t, o), t: t, random: rand.New(rand.NewPCG(1, 2)), spell: spell, calm: 2}
	s.liar = s.Liar(t)
	var failed, wrong int64
	var goroutines, resident []float64 // of the calm nodes
	start := time.Now()
	rounds := map[string]int{}
	order := faults
	for i := 0; i < len(faults) || time.Since(start) < lasts; i++ {
		if i%len(faults) == 0 && i > 0 {
			order = slices.Clone(faults)
			s.random.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		}
		happens := order[i%len(order)]
		f, w := s.round(i, happens, image)
		failed, wrong = failed+f, wrong+w
		rounds[happens.name]++
		s.Await(t, s.Nodes)
		var g, r float64
		for _, n := range s.Nodes[:s.calm] {
			v := n.Vitals(t)
			g, r = g+float64(v.Goroutines), r+float64(v.Resident)
		}
		goroutines, resident = append(goroutines, g), append(resident, r)
		if t.Failed() {
			break
		}
	}
	t.Logf("goroutines %v, resident MiB %v", goroutines, mebibytes(resident))
	t.Logf("complaints: %s", zone.Complaints(s.Nodes))
	figure.Report(t, "zone.soak.minutes", time.Since(start).Minutes(), "min")
	figure.Report(t, "zone.soak.rounds", float64(len(goroutines)), "rounds")
	least := len(goroutines)
	for _, f := range faults {
		least = min(least, rounds[f.name])
	}
	t.Logf("rounds: %v", rounds)
	figure.Report(t, "zone.soak.rounds_of_each_fault", float64(least), "rounds")
	figure.Report(t, "zone.soak.failed_reads", float64(failed), "reads")
	figure.Report(t, "zone.soak.wrong_blocks", float64(wrong), "blocks")
	figure.Report(t, "zone.soak.goroutines_growth", growth(goroutines), "x")
	figure.Report(t, "zone.soak.resident_growth", growth(resident), "x")
}

// growth compares the last third with the second one: the first is for warming up.
func growth(v []float64) float64 {
	third := max(len(v)/3, 1)
	return rate.Median(v[len(v)-third:]) / rate.Median(v[len(v)-min(2*third, len(v)):][:third])
}

func mebibytes(bytes []float64) []int {
	m := make([]int, len(bytes))
	for i, b := range bytes {
		m[i] = int(b) >> 20
	}
	return m
}
