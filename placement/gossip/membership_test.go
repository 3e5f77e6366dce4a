package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/placement"
)

func TestOptionsThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"node name":             func(o *Options) { o.Node = "a/b" },
		"zone":                  func(o *Options) { o.Zone = "" },
		"no key file":           func(o *Options) { o.Insecure = false },
		"a key file and":        func(o *Options) { o.KeyFile = "k" },
		"bind address":          func(o *Options) { o.Bind = "localhost:0" },
		"missing port":          func(o *Options) { o.Bind = "127.0.0.1" },
		"advertised address":    func(o *Options) { o.Advertise = "node1.example" },
		"say under which":       func(o *Options) { o.Bind = "[::]:0" },
		"peer address":          func(o *Options) { o.PeerAddress = "127.0.0.1" },
		"seed":                  func(o *Options) { o.Seeds = []string{"ok:1", "a b"} },
		"timeout of a probe":    func(o *Options) { o.Timing.Timeout = o.Timing.Probe },
		"key file: open /nowhe": func(o *Options) { o.Insecure, o.KeyFile = false, "/nowhere" },
		"listen on":             func(o *Options) { o.Bind = "192.0.2.1:1" },
	} {
		o := options("n0")
		change(&o)
		m, err := Open(t.Context(), o)
		if err == nil {
			_ = m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestNodeAloneIsAZoneOfOne(t *testing.T) {
	t.Parallel()
	log := &book{}
	o := options("n0", "127.0.0.1:1") // nobody listens there
	o.Logger, o.PeerAddress = log.logger(), ":7072"
	m := open(t, o)
	if got := members(m); got != "n0" {
		t.Errorf("the ring is [%s]", got)
	}
	if got := m.Ring().Members()[0].Address; got != "127.0.0.1:7072" {
		t.Errorf("peer address %s", got)
	}
	log.says(t, "seed does not answer")
	log.says(t, "alone in the zone")
	eventually(t, func() string {
		if n := m.Stats().SeedFailures; n < 3 {
			return fmt.Sprintf("%d tries", n)
		}
		return ""
	})
	if n := log.count("seed does not answer"); n != 1 {
		t.Errorf("the silent seed is in the log %d times", n)
	}
	if err := m.Leave(time.Second); err != nil {
		t.Error(err)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := options("n0", "127.0.0.1:1")
	if m, err := Open(ctx, o); err == nil {
		t.Error("opened")
		_ = m.Close()
	}
}

// Everybody sees the same members, with all they say, and the same epoch.
func TestAllSeeTheSameZone(t *testing.T) {
	t.Parallel()
	all := zone(t, 4, func(i int, o *Options) {
		o.Weight, o.PeerAddress = uint32(10+i), fmt.Sprintf("127.0.0.1:%d", 9000+i)
	})
	for _, m := range all {
		if m.Ring().Epoch() != all[0].Ring().Epoch() {
			t.Error("two epochs")
		}
		for i, got := range m.Ring().Members() {
			want := placement.Member{Name: fmt.Sprintf("n%d", i), Address: fmt.Sprintf("127.0.0.1:%d", 9000+i), Zone: "z1", Weight: uint32(10 + i), Version: "v1"}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	}
	eventually(t, func() string {
		for _, s := range all[0].Members() {
			if s.State != Alive || s.Self != (s.Name == "n0") || !s.Self && s.RTT == 0 {
				return fmt.Sprintf("status %+v", s)
			}
		}
		return ""
	})
}

func TestRingsAreSwappedInOrder(t *testing.T) {
	t.Parallel()
	var epochs atomic.Int64
	var last atomic.Pointer[placement.Ring]
	all := zone(t, 3, func(i int, o *Options) {
		if i == 0 {
			o.OnChange = func(r *placement.Ring) { epochs.Add(1); last.Store(r) }
		}
	})
	eventually(t, func() string {
		if last.Load() != all[0].Ring() {
			return "the last ring told is not the ring"
		}
		return ""
	})
	if got := uint64(epochs.Load()); got != all[0].Stats().Rings {
		t.Errorf("%d rings told, %d made", got, all[0].Stats().Rings)
	}
}

// A node that drains is out of all rings, its own too, and still a member.
func TestLeaveIsAnnounced(t *testing.T) {
	t.Parallel()
	all := zone(t, 4, nil)
	if err := all[3].Leave(5 * time.Second); err != nil {
		t.Error(err)
	}
	rings(t, all, "n0", "n1", "n2")
	eventually(t, func() string {
		for _, s := range all[0].Members() {
			if s.Name == "n3" && s.State == Leaving {
				return ""
			}
		}
		return "n3 is not leaving"
	})
	if err := all[3].Close(); err != nil {
		t.Error(err)
	}
	eventually(t, func() string {
		for _, m := range all[:3] {
			if s := m.Stats(); len(m.Members()) != 3 || s.Leaves != 1 || s.Deaths != 0 {
				return fmt.Sprintf("%d members, %+v", len(m.Members()), s)
			}
		}
		return ""
	})
	// It comes back at another address at once.
	again := open(t, options("n3", all[0].Address().String()))
	rings(t, append(slices.Clone(all[:3]), again), "n0", "n1", "n2", "n3")
}

func TestDeathIsSeen(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	all := zone(t, 4, func(_ int, o *Options) {
		o.OnDeath = func(name, _ string) {
			if name == "n3" {
				told.Add(1)
			}
		}
	})
	_ = all[3].Close()
	rings(t, all[:3], "n0", "n1", "n2")
	eventually(t, func() string {
		if told.Load() != 3 || all[0].Stats().Deaths != 1 {
			return fmt.Sprintf("told %d, %+v", told.Load(), all[0].Stats())
		}
		return ""
	})
}

func TestRestart(t *testing.T) {
	for name, bind := range map[string]func(*Membership) string{
		"same address": func(m *Membership) string { return m.Address().String() },
		"new address":  func(*Membership) string { return "127.0.0.1:0" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := zone(t, 4, nil)
			_ = all[3].Close()
			o := options("n3", all[0].Address().String(), all[1].Address().String())
			o.Bind, o.PeerAddress = bind(all[3]), "127.0.0.1:9999"
			again := open(t, o)
			eventually(t, func() string {
				for _, m := range append(slices.Clone(all[:3]), again) {
					got, ok := m.Ring().Member("n3")
					if !ok || got.Address != "127.0.0.1:9999" || m.Ring().Len() != 4 {
						return fmt.Sprintf("%s has [%s], n3 at %s", m.opt.Node, members(m), got.Address)
					}
				}
				return ""
			})
		})
	}
}

// An open connection that never says anything does not hold up Close.
func TestCloseDoesNotWaitForStrangers(t *testing.T) {
	t.Parallel()
	m := open(t, options("n0"))
	conn, err := net.Dial("tcp", m.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > lingerTime {
		t.Errorf("Close took %v", took)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// Two halves that cannot reach each other are two zones; then they are one again,
// though nobody's seed is in the other half.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	half := map[netip.AddrPort]int{}
	all := make([]*Membership, 0, 4)
	ready := make(chan struct{})
	for i := range 4 {
		o := options(fmt.Sprintf("n%d", i))
		if i > 0 {
			o.Seeds = []string{all[0].Address().String()}
		}
		o.Reach = func(to netip.AddrPort) bool {
			if !cut.Load() {
				return true
			}
			<-ready
			return half[to] == i/2
		}
		all = append(all, open(t, o))
		half[all[i].Address()] = i / 2
	}
	close(ready)
	rings(t, all, "n0", "n1", "n2", "n3")
	cut.Store(true)
	rings(t, all[:2], "n0", "n1")
	rings(t, all[2:], "n2", "n3")
	cut.Store(false)
	rings(t, all, "n0", "n1", "n2", "n3")
}

func TestRateIsAnnounced(t *testing.T) {
	t.Parallel()
	all := zone(t, 2, nil)
	rate := func(want uint32) {
		t.Helper()
		eventually(t, func() string {
			if got, _ := all[0].Ring().Member("n1"); got.Rate != want {
				return fmt.Sprintf("rate %d, want %d", got.Rate, want)
			}
			return ""
		})
	}
	all[1].SetRate(1000)
	rate(1000)
	all[1].SetRate(1200) // less than a quarter more
	if all[1].said.measure(1250) || !all[1].said.measure(1251) || all[1].said.measure(750) || !all[1].said.measure(749) {
		t.Error("a quarter is not what it should be")
	}
	all[1].SetRate(2000)
	rate(2000)
	all[1].SetRate(0)
	rate(0)
}

func TestAliveAsksTheNode(t *testing.T) {
	t.Parallel()
	all := zone(t, 3, nil)
	if !all[0].Alive("n1") || !all[2].Alive("n1") {
		t.Error("a node that lives does not answer")
	}
	if all[0].Alive("stranger") {
		t.Error("a node that the zone has not lives")
	}
	_ = all[1].Close()
	if all[0].Alive("n1") {
		t.Error("a node that has ended answers")
	}
}
