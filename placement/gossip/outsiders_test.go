package gossip

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// The first node of a name stays; the second one knows, and so do the others.
func TestDuplicateName(t *testing.T) {
	t.Parallel()
	log, second := &book{}, &book{}
	all := zone(t, 3, func(i int, o *Options) {
		o.PeerAddress = fmt.Sprintf("127.0.0.1:%d", 9000+i)
		o.Logger = log.logger()
	})
	o := options("n2", all[0].Address().String())
	o.Logger, o.PeerAddress = second.logger(), "127.0.0.1:9999"
	twin := open(t, o)
	log.says(t, "two nodes claim one name; the first stays")
	log.says(t, "second="+twin.Address().String())
	second.says(t, "another node of this node's name is in the zone")
	second.says(t, "other="+all[2].Address().String())
	if twin.Stats().Conflicts == 0 || all[0].Stats().Conflicts == 0 {
		t.Error("conflicts are not counted")
	}
	if err := twin.Leave(time.Second); err != nil {
		t.Log(err)
	}
	_ = twin.Close()
	for _, m := range all {
		if got, _ := m.Ring().Member("n2"); got.Address != "127.0.0.1:9002" || m.Ring().Len() != 3 {
			t.Errorf("%s has n2 at %s", m.opt.Node, got.Address)
		}
	}
	if s := all[0].Stats(); s.Leaves+s.Deaths != 0 {
		t.Errorf("the second one's end was taken for the first one's: %+v", s)
	}
}

func TestOtherZonesStayOut(t *testing.T) {
	t.Parallel()
	log := &book{}
	all := zone(t, 2, func(_ int, o *Options) { o.Logger = log.logger() })
	o := options("stranger", all[0].Address().String())
	o.Zone = "z2"
	other := open(t, o)
	log.says(t, "message of another zone refused")
	if members(other) != "stranger" || members(all[0]) != "n0 n1" || all[0].Stats().ForeignZone == 0 {
		t.Errorf("rings [%s] and [%s], %+v", members(other), members(all[0]), all[0].Stats())
	}
}

// A plain memberlist node that says what a test wants it to say.
type raw struct{ meta []byte }

func (r raw) NodeMeta(int) []byte           { return r.meta }
func (raw) NotifyMsg([]byte)                {}
func (raw) GetBroadcasts(int, int) [][]byte { return nil }
func (raw) LocalState(bool) []byte          { return []byte("of a newer version") }
func (raw) MergeRemoteState([]byte, bool)   {}

func joinRaw(t *testing.T, name string, meta []byte, to *Membership) {
	t.Helper()
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.BindAddr, conf.BindPort, conf.AdvertiseAddr = name, "127.0.0.1", 0, "127.0.0.1"
	conf.Label, conf.Delegate, conf.LogOutput = "cached:z1:open", raw{meta}, io.Discard
	conf.ProbeInterval, conf.PushPullInterval = 0, 0 // it only speaks
	b := newBrood()
	var list *memberlist.Memberlist
	var err error
	b.start(func() { list, err = memberlist.Create(conf) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = list.Shutdown()
		b.wait()
	})
	if _, err := list.Join([]string{to.Address().String()}); err != nil {
		t.Fatal(err)
	}
}

// A node that has the zone's label, but says it is of another one.
func TestForgedZoneStaysOut(t *testing.T) {
	t.Parallel()
	log := &book{}
	all := zone(t, 2, func(_ int, o *Options) { o.Logger = log.logger() })
	joinRaw(t, "forger", (&meta{zone: "z2", peer: "127.0.0.1:1"}).encode(), all[0])
	log.says(t, "node of another zone refused")
	if all[0].Stats().ForeignZone == 0 {
		t.Error("not counted")
	}
	joinRaw(t, "bad/name", (&meta{zone: "z1", peer: "127.0.0.1:1"}).encode(), all[0])
	log.says(t, "node refused")
	rings(t, all, "n0", "n1")
	if n := len(all[0].Members()); n != 2 {
		t.Errorf("%d members", n)
	}
}

// A node of a newer version says things that this one does not know.
func TestNewerNodeIsAMember(t *testing.T) {
	t.Parallel()
	all := zone(t, 2, nil)
	said := (&meta{zone: "z1", peer: "127.0.0.1:1", weight: 5}).encode()
	joinRaw(t, "newer", appendText(said, 200, "tomorrow"), all[0])
	rings(t, all, "n0", "n1", "newer")
}

// Of a later version that this one cannot read: it gossips, outside the ring.
func TestUnreadableNodeIsLeftOut(t *testing.T) {
	t.Parallel()
	log := &book{}
	all := zone(t, 3, func(_ int, o *Options) { o.Logger = log.logger() })
	all[2].said.change(func(m *meta) { m.peer = "no port" })
	_ = all[2].announce(time.Second)
	rings(t, all[:2], "n0", "n1")
	log.says(t, "left out of the ring")
	found := false
	for _, s := range all[0].Members() {
		found = found || s.Name == "n2" && s.State == Unreadable && s.Reason != ""
	}
	if !found || all[0].Stats().Unreadable == 0 {
		t.Errorf("status %+v, %+v", all[0].Members(), all[0].Stats())
	}
	all[2].said.change(func(m *meta) { m.peer = "127.0.0.1:7072" })
	_ = all[2].announce(time.Second)
	rings(t, all, "n0", "n1", "n2")
}

func TestNoise(t *testing.T) {
	for _, kind := range []string{"sealed", "open"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			all := zone(t, 2, func(_ int, o *Options) {
				if kind == "sealed" {
					o.KeyFile, o.Insecure = keyFileOf(t, testKey), false
				}
			})
			to := all[0].Address().String()
			for _, network := range []string{"udp", "tcp"} {
				for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\xf4", "\xf4\xff", "\xf4\x11cached:z1:" + kind[:4], "\x00", "\x08\x08\x08", strings.Repeat("\xff", 9000)} {
					conn, err := net.Dial(network, to)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = conn.Write([]byte(text))
					_ = conn.Close()
				}
			}
			label := "\xf4" + string(rune(len("cached:z1:"+kind))) + "cached:z1:" + kind
			conn, err := net.Dial("udp", to)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for i := range 256 {
				_, _ = conn.Write(append([]byte(label), byte(i), 1, 2, 3, 0xde, 0xff))
			}
			extra := open(t, func() Options {
				o := options("late", to)
				o.KeyFile, o.Insecure = all[0].opt.KeyFile, all[0].opt.Insecure
				return o
			}())
			rings(t, append(slices.Clone(all), extra), "n0", "n1", "late")
		})
	}
}
