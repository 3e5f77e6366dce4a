package gossip

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A probe is answered by who has the same zone and keys, and the zone hears of nobody.
func TestProbe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys, others := filepath.Join(dir, "keys"), filepath.Join(dir, "others")
	for _, file := range []string{keys, others} {
		if err := os.WriteFile(file, []byte(NewKey()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain := zone(t, 2, func(int, *Options) {})
	shut := zone(t, 2, func(_ int, o *Options) { o.Insecure, o.KeyFile = false, keys })
	for _, c := range []struct {
		what, zone, bind, keys string
		to                     netip.AddrPort
		answers                bool
	}{
		{"plain", "z1", "127.0.0.1:7946", "", plain[0].Address(), true},
		{"from any address", "z1", "0.0.0.0:7946", "", plain[0].Address(), true},
		{"sealed", "z1", "127.0.0.1:7946", keys, shut[1].Address(), true},
		{"another key", "z1", "127.0.0.1:7946", others, shut[1].Address(), false},
		{"no key", "z1", "127.0.0.1:7946", "", shut[1].Address(), false},
		{"another zone", "z2", "127.0.0.1:7946", "", plain[0].Address(), false},
	} {
		took, err := Probe(t.Context(), c.zone, c.bind, c.keys, c.to)
		if (err == nil) != c.answers || (took > 0) != c.answers {
			t.Errorf("%s: %v, %v", c.what, took, err)
		}
	}
	for _, m := range [][]*Membership{plain, shut} {
		if got := members(m[0]); got != "n0 n1" || len(m[0].Members()) != 2 {
			t.Errorf("the zone is now [%s], %v", got, m[0].Members())
		}
	}
}

// One whose TCP port answers and whose UDP port is closed.
func TestProbeOfAClosedPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Probe(t.Context(), "z1", "127.0.0.1:0", "", l.Addr().(*net.TCPAddr).AddrPort())
	if err == nil || !strings.Contains(err.Error(), "does not answer by UDP within 2s") {
		t.Errorf("error %v", err)
	}
}
