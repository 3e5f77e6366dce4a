package zone

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/internal/testtool"
)

// A Node is a host with its daemon.
type Node struct {
	Name string
	Host *netlab.Host

	zone    *Zone
	place   int
	dir     string
	process *testtool.Process // the last one
	log     strings.Builder   // what daemons that have ended had printed
	// identity is the directory of the node's certificate.
	identity string
}

const (
	rpcAddress   = "127.0.0.1:7070"
	adminAddress = "127.0.0.1:7071"
	peerPort     = 7072
	gossipPort   = 7946
	seeds        = 3 // of the nodes, whom the others know beforehand
)

func (z *Zone) newNode(tb testing.TB, place int) *Node {
	tb.Helper()
	name := fmt.Sprintf("node%02d", place+1)
	n := &Node{zone: z, Name: name, place: place, Host: z.Lab.Host(name, z.options.Link), dir: tb.TempDir()}
	if z.keys != nil {
		n.identity = z.keys.issue(tb, name)
	}
	return n
}

// Start starts the node's daemon again after Stop or Kill and returns when it is
// ready. It finds what its L2 held.
func (n *Node) Start(tb testing.TB) {
	tb.Helper()
	n.start()
	n.awaitReady(tb)
}

func (n *Node) start() {
	cmd := exec.Command(n.zone.options.Programs.cached(), n.flags()...)
	cmd.Env = environ()
	n.process = n.Host.Start(n.zone.tb, cmd, func(context.Context) bool { return true })
}

func (n *Node) awaitReady(tb testing.TB) {
	tb.Helper()
	await(tb, n.Name, 30*time.Second, func() error {
		s, err := n.status(context.Background())
		if err == nil && len(s.GetNotReady()) > 0 {
			err = fmt.Errorf("not ready: %v", s.GetNotReady())
		}
		if err != nil && n.process.Ended() {
			tb.Fatalf("%s: the daemon ended at once", n.Name)
		}
		return err
	})
}

func (n *Node) flags() []string {
	o := n.zone.options
	flags := []string{
		"serve", "--listen", rpcAddress, "--admin", adminAddress, "--data-dir", n.dir, "--origin", n.zone.Origin,
		"--l1-size", o.L1, "--l2-size", o.L2, "--l2-min-free", "0", "--drain-timeout", "10s",
	}
	if o.Spread != Alone {
		flags = append(flags, "--zone", ZoneName, "--node", n.Name, "--distribution", string(o.Spread),
			"--peer-listen", n.Host.Address(peerPort), "--gossip", n.Host.Address(gossipPort),
			"--zone-tls", n.identity, "--gossip-keys", n.zone.keys.gossip)
		for _, seed := range n.zone.Nodes[:min(n.zone.running, seeds)] {
			flags = append(flags, "--seed", seed.Host.Address(gossipPort))
		}
	}
	flags = append(flags, o.Flags...)
	if o.Each != nil {
		flags = append(flags, o.Each(n.place)...)
	}
	return flags
}

// Stop ends the daemon as an init system does.
func (n *Node) Stop() {
	n.process.Stop()
	n.log.WriteString(n.process.Output())
}

// Wipe stops the daemon and empties its disk: Start begins with cold caches.
func (n *Node) Wipe(tb testing.TB) {
	tb.Helper()
	n.Stop()
	n.wipe(tb)
}

func (n *Node) wipe(tb testing.TB) {
	tb.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		tb.Fatalf("%s: %v", n.Name, err)
	}
}

// Pid returns the daemon's process id.
func (n *Node) Pid() int { return n.process.Pid() }

// Kill ends the daemon with kill -9.
func (n *Node) Kill() {
	n.process.Kill()
	n.log.WriteString(n.process.Output())
}

// Freeze keeps the daemon from doing anything until [Node.Thaw].
func (n *Node) Freeze() { n.process.Signal(syscall.SIGSTOP) }

// Thaw ends what Freeze began.
func (n *Node) Thaw() { n.process.Signal(syscall.SIGCONT) }

// Troubles returns how many of the daemon's reads of its peers have failed, and
// how many blocks they sent whose bytes were wrong.
func (n *Node) Troubles(tb testing.TB) (failures, wrong uint64) {
	tb.Helper()
	for _, p := range n.Status(tb).GetZone().GetPeers() {
		failures, wrong = failures+p.GetFailures(), wrong+p.GetWrong()
	}
	return failures, wrong
}

// Status returns what the daemon says of itself.
func (n *Node) Status(tb testing.TB) *cachedv1.GetStatusResponse {
	tb.Helper()
	s, err := n.status(context.Background())
	if err != nil {
		tb.Fatalf("%s: status: %v", n.Name, err)
	}
	return s
}

// peer returns what the daemon says of one of its peers.
func (n *Node) peer(name string) (*cachedv1.PeerStatus, error) {
	s, err := n.status(context.Background())
	if err != nil {
		return nil, err
	}
	for _, p := range s.GetZone().GetPeers() {
		if p.GetName() == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s does not know %s", n.Name, name)
}

func (n *Node) status(ctx context.Context) (s *cachedv1.GetStatusResponse, err error) {
	err = n.ask(ctx, func(ctx context.Context, c cachedv1connect.AdminServiceClient) error {
		s, err = c.GetStatus(ctx, &cachedv1.GetStatusRequest{})
		return err
	})
	return s, err
}

// Ledger returns the daemon's books.
func (n *Node) Ledger(tb testing.TB) *cachedv1.Ledger {
	tb.Helper()
	var resp *cachedv1.GetLedgerResponse
	err := n.ask(context.Background(), func(ctx context.Context, c cachedv1connect.AdminServiceClient) (err error) {
		resp, err = c.GetLedger(ctx, &cachedv1.GetLedgerRequest{})
		return err
	})
	if err != nil {
		tb.Fatalf("%s: ledger: %v", n.Name, err)
	}
	return resp.GetLedger()
}

// ask calls the daemon over a connection of its own.
func (n *Node) ask(ctx context.Context, f func(context.Context, cachedv1connect.AdminServiceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	t := n.Transport()
	defer t.CloseIdleConnections()
	return f(ctx, cachedv1connect.NewAdminServiceClient(&http.Client{Transport: t}, "http://"+rpcAddress))
}

// Transport returns an HTTP transport whose requests come from the node's host.
func (n *Node) Transport() *http.Transport {
	return &http.Transport{DialContext: n.Host.Dial, DisableKeepAlives: true}
}
