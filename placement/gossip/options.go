package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/residency"
)

// DefaultPort is the port of gossip, for both UDP and TCP.
const DefaultPort = 7946

// Options describe this node and how it meets the others.
type Options struct {
	Node        string // its name, unique in the zone: letters, digits, '.', '_' and '-', at most 128
	Zone        string // at most 128 bytes, of the same letters
	Bind        string // ip:port to listen on, UDP and TCP; port 0 takes a free one
	Advertise   string // ip or ip:port under which others reach Bind; "": Bind, or the private address if Bind is unspecified
	PeerAddress string // host:port of the peer listener; an empty or unspecified host becomes the advertised address
	Weight      uint32 // share of the blocks, relative to the others'; 0 owns none
	Version     string // of the software, for status; cut at 64 bytes

	// Seeds are where other nodes may be found: "ip:port", "name:port" (every
	// address of the name), "srv+NAME" or "_gossip._tcp.NAME" (SRV records). A
	// missing port is Bind's. They are resolved again as long as the node runs.
	Seeds []string

	KeyFile  string // base64 keys of 16, 24 or 32 bytes, one a line, the first one encrypts
	Insecure bool   // no key file: nothing is encrypted, whoever reaches the port is trusted

	Timing   Timing
	JoinWait time.Duration // how long Open waits for a seed's answer; default 1 s
	Resolver *net.Resolver // of seeds; nil: the system's
	Logger   *slog.Logger  // nil: none

	// OnChange is told each new ring, OnDeath whom another node found dead (by
	// notice) or the zone declared dead. Both are called from one goroutine, must
	// return soon and must not call Close or Leave.
	OnChange func(*placement.Ring)
	OnDeath  func(name, reason string)

	// Residency is what nodes say of how much they hold: what this one says there is
	// told to the others, and what they say is put there. Its Self is Node. nil: this
	// node neither tells nor listens.
	Residency *residency.Table

	// MakeRing makes rings; nil: placement does. Nodes in one process may share
	// them, because they are immutable and all nodes come to the same ones.
	MakeRing func([]placement.Member) *placement.Ring

	// Reach, if set, drops what is sent to an address for which it is false, as a
	// broken network would. For tests.
	Reach func(netip.AddrPort) bool
}

// Timing says how fast members find out about each other. A dead node is out of
// the rings of n nodes after about
//
//	Probe (until somebody probes it) + Probe (no answer) + Suspicion * max(1, log10 n) * Probe
//
// which is also how long a node may be deaf without being declared dead.
type Timing struct {
	Probe     time.Duration // each node probes another one this often; default 600 ms
	Timeout   time.Duration // of a probe, before others are asked to probe too; less than half of Probe; default 250 ms
	Suspicion int           // default 4
	Gossip    time.Duration // news are passed on this often; default 100 ms
	Sync      time.Duration // the whole state is exchanged with one node this often; default 30 s
	Seek      time.Duration // longest pause between tries to find missing nodes; default 15 s
	Publish   time.Duration // changed rates are announced, and taken into a ring, this often at most; default 5 s
	Tell      time.Duration // what this node holds is told, when it has changed, this often at most; default 2 s
	Reload    time.Duration // the key file is looked at this often; default 2 s
}

// DefaultTiming sees a death within about 4 s among 16 nodes and 8 s among 1000. It
// is not quicker because in a burst a probe and its answer may each stand behind
// 100 ms of blocks in the queues of the links.
func DefaultTiming() Timing {
	return Timing{
		Probe: 600 * time.Millisecond, Timeout: 250 * time.Millisecond, Suspicion: 4, Gossip: 100 * time.Millisecond,
		Sync: 30 * time.Second, Seek: 15 * time.Second, Publish: 5 * time.Second, Tell: 2 * time.Second, Reload: 2 * time.Second,
	}
}

const maxName = 128 // of nodes and zones

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func checkName(kind, s string) error {
	if len(s) > maxName || !nameForm.MatchString(s) {
		return fmt.Errorf("%s %.40q: want 1 to %d letters, digits, '.', '_' or '-', not beginning with a sign", kind, s, maxName)
	}
	return nil
}

// complete fills in defaults and says what cannot work.
func (o *Options) complete() error {
	if err := errors.Join(checkName("node name", o.Node), checkName("zone", o.Zone)); err != nil {
		return err
	}
	if o.Residency != nil && o.Residency.Self() != o.Node {
		return fmt.Errorf("residency is node %q's: want that of %q", o.Residency.Self(), o.Node)
	}
	if o.KeyFile == "" && !o.Insecure {
		return errors.New("no key file: name one (a key is made by NewKey), or say that the zone is insecure")
	}
	if o.KeyFile != "" && o.Insecure {
		return errors.New("a key file and insecure: want one of them")
	}
	setDefault(&o.JoinWait, time.Second)
	std := DefaultTiming()
	setDefault(&o.Timing.Probe, std.Probe)
	setDefault(&o.Timing.Timeout, o.Timing.Probe*5/12)
	setDefault(&o.Timing.Suspicion, std.Suspicion)
	setDefault(&o.Timing.Gossip, std.Gossip)
	setDefault(&o.Timing.Sync, std.Sync)
	setDefault(&o.Timing.Seek, std.Seek)
	setDefault(&o.Timing.Publish, std.Publish)
	setDefault(&o.Timing.Tell, std.Tell)
	setDefault(&o.Timing.Reload, std.Reload)
	if o.Timing.Timeout*2 >= o.Timing.Probe {
		// The others' "no answer either" would come after the probe is over, and
		// the prober would blame its own network for every death.
		return fmt.Errorf("timeout of a probe %v: want less than half of the %v between probes", o.Timing.Timeout, o.Timing.Probe)
	}
	if o.Resolver == nil {
		o.Resolver = &net.Resolver{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("zone", o.Zone, "node", o.Node)
	if len(o.Version) > maxVersion {
		o.Version = o.Version[:maxVersion]
	}
	return nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// bindOf reads Bind.
func bindOf(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("bind address %q: %w", s, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	a, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("bind address %q: want ip:port", s)
	}
	return a, nil
}

// advertiseOf reads Advertise: an ip, or ip:port.
func advertiseOf(s string, bound netip.AddrPort) (netip.AddrPort, error) {
	switch {
	case s == "" && bound.Addr().IsUnspecified() && bound.Addr().Is6():
		return netip.AddrPort{}, fmt.Errorf("bound to %v: say under which address others reach this node", bound)
	case s == "":
		return bound, nil
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), bound.Port()), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Addr().IsUnspecified() {
		return netip.AddrPort{}, fmt.Errorf("advertised address %q: want ip or ip:port", s)
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), bound.Port())
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// peerOf completes PeerAddress.
func peerOf(s string, advertised netip.Addr) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("peer address %q: %w", s, err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = advertised.String()
	}
	s = net.JoinHostPort(host, port)
	if err := checkPeer(s); err != nil {
		return "", err
	}
	return s, nil
}
