package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/zonecache/cached/block"
)

// ZoneConfig is the stanza of L3: which nodes read from each other, and how.
type ZoneConfig struct {
	Name            string        `yaml:"name"` // empty: the node has no peers
	Node            string        `yaml:"node"`
	PeerListen      string        `yaml:"peer-listen"`
	PeerAdvertise   string        `yaml:"peer-advertise"` // default: the address of peer-listen
	Gossip          string        `yaml:"gossip"`
	GossipAdvertise string        `yaml:"gossip-advertise"` // default: the address of gossip
	Seeds           []string      `yaml:"seeds"`
	TLS             string        `yaml:"tls"`         // directory with the node's certificate
	GossipKeys      string        `yaml:"gossip-keys"` // file with one key a line
	Insecure        bool          `yaml:"insecure"`
	Weight          int           `yaml:"weight"`
	Distribution    string        `yaml:"distribution"`
	L2Admit         string        `yaml:"l2-admit"`
	PeerBudget      time.Duration `yaml:"peer-budget"`
	PeerSilence     time.Duration `yaml:"peer-silence"`
	Sends           int           `yaml:"sends"`
	SendsPerBlock   int           `yaml:"sends-per-block"`
}

// The ways an image spreads through the zone.
const (
	distributeRedirect = "redirect"
	distributeTree     = "tree"
)

// maxWeight is the largest that a node may have.
const maxWeight = 1_000_000

func defaultZone() ZoneConfig {
	return ZoneConfig{
		Node:         hostName(),
		PeerListen:   "127.0.0.1:7072",
		Gossip:       "127.0.0.1:7946",
		Weight:       100,
		Distribution: distributeRedirect,
		L2Admit:      "hot",
		PeerBudget:   5 * time.Second,
		PeerSilence:  time.Second,
		Sends:        8, SendsPerBlock: 2,
	}
}

// bindZoneFlags adds the settings of the zone.
func bindZoneFlags(fs *pflag.FlagSet, z *ZoneConfig) {
	fs.StringVar(&z.Name, "zone", z.Name, "`NAME` of the zone whose nodes read from each other; empty: no peers")
	fs.StringVar(&z.Node, "node", z.Node, "`NAME` of this node, unique in the zone (default: the host's name)")
	fs.StringVar(&z.PeerListen, "peer-listen", z.PeerListen, "`ADDR` on which the zone's nodes read from this one")
	fs.StringVar(&z.PeerAdvertise, "peer-advertise", z.PeerAdvertise, "`ADDR` that the others dial (default: that of --peer-listen)")
	fs.StringVar(&z.Gossip, "gossip", z.Gossip, "`ADDR` of the zone's gossip, TCP and UDP")
	fs.StringVar(&z.GossipAdvertise, "gossip-advertise", z.GossipAdvertise, "`ADDR` of gossip that the others see (default: that of --gossip)")
	fs.StringArrayVar(&z.Seeds, "seed", z.Seeds, "gossip address of a node to join: HOST:PORT, a name with several addresses, or srv+NAME; repeat for more")
	fs.StringVar(&z.TLS, "zone-tls", z.TLS, "`DIR` with this node's certificate and the zone's CA (see cached certs)")
	fs.StringVar(&z.GossipKeys, "gossip-keys", z.GossipKeys, "`FILE` with the keys of the gossip, one a line; the first encrypts, all decrypt")
	fs.BoolVar(&z.Insecure, "zone-insecure", z.Insecure, "let nodes speak without certificates and keys: whoever reaches the ports can read every block")
	fs.IntVar(&z.Weight, "weight", z.Weight, "share of the zone's blocks this node owns, relative to the others; 0: none")
	fs.StringVar(&z.Distribution, "distribution", z.Distribution, "how an image spreads: redirect, or tree (FaaSNet's Function Tree)")
	fs.StringVar(&z.L2Admit, "l2-admit", z.L2Admit, "which blocks of other owners L2 keeps: hot, second (read a second time) or always")
	fs.DurationVar(&z.PeerBudget, "peer-budget", z.PeerBudget, "how long a read may spend on peers before it asks the origin")
	fs.DurationVar(&z.PeerSilence, "peer-silence", z.PeerSilence, "how long a peer may let nothing be heard before it is taken for dead; one that waits says so ten times a second")
	fs.IntVar(&z.Sends, "sends", z.Sends, "blocks this node sends to peers at once before it redirects them")
	fs.IntVar(&z.SendsPerBlock, "sends-per-block", z.SendsPerBlock, "of these, sends of one block")
}

// validate reports every mistake by calling bad.
func (z *ZoneConfig) validate(bad func(format string, args ...any)) {
	if z.Name == "" {
		for _, set := range []struct{ key, value string }{
			{"seeds", fmt.Sprint(z.Seeds)}, {"tls", z.TLS}, {"gossip-keys", z.GossipKeys},
		} {
			if set.value != "" && set.value != "[]" {
				bad("zone.%s: is set, but zone.name is not: give the zone a name with --zone", set.key)
			}
		}
		return
	}
	for _, n := range []struct{ key, name string }{{"name", z.Name}, {"node", z.Node}} {
		if err := checkLabel(n.name); err != nil {
			bad("zone.%s: %v", n.key, err)
		}
	}
	switch {
	case z.Insecure && (z.TLS != "" || z.GossipKeys != ""):
		bad("zone.insecure: contradicts zone.tls and zone.gossip-keys: drop one or the other")
	case !z.Insecure && (z.TLS == "" || z.GossipKeys == ""):
		bad("zone: nodes authenticate each other: give --zone-tls DIR (`cached certs` makes one) and --gossip-keys FILE (`cached certs gossip-key`), or --zone-insecure for a zone on a network you trust")
	}
	for _, p := range []struct{ key, path string }{{"tls", z.TLS}, {"gossip-keys", z.GossipKeys}} {
		if p.path != "" && !filepath.IsAbs(p.path) {
			bad("zone.%s: %q must be an absolute path", p.key, p.path)
		}
	}
	if z.Weight < 0 || z.Weight > maxWeight {
		bad("zone.weight: %d, want 0 to %d", z.Weight, maxWeight)
	}
	if z.PeerBudget < 10*time.Millisecond {
		bad("zone.peer-budget: %s, want at least 10ms", z.PeerBudget)
	}
	if z.PeerSilence < 10*time.Millisecond || z.PeerSilence > z.PeerBudget {
		bad("zone.peer-silence: %s, want at least 10ms and no more than zone.peer-budget, %s", z.PeerSilence, z.PeerBudget)
	}
	if z.Sends < 1 || z.SendsPerBlock < 1 || z.SendsPerBlock > z.Sends {
		bad("zone.sends: %d, of one block %d: want at least 1 of each, and no more of one block than in all", z.Sends, z.SendsPerBlock)
	}
}

// hostName is the node's name unless it is given: that of the host, without what
// a name may not have.
func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(host), "_", "-")
}

// maxLabel is how long a name of a zone or a node may be.
const maxLabel = 63

// checkLabel wants a name of a zone or a node, which stands in certificates,
// gossip and metrics.
func checkLabel(name string) error {
	if err := block.CheckName(name); err != nil {
		return err
	}
	if len(name) > maxLabel {
		return fmt.Errorf("%q has %d characters, at most %d are allowed", name, len(name), maxLabel)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return fmt.Errorf("%q: only lower-case letters, digits, dots and dashes are allowed", name)
		}
	}
	return nil
}

// beyondLoopback reports whether addr is reachable from other hosts.
func beyondLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host != "localhost"
	}
	return !ip.IsLoopback()
}
