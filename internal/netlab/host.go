package netlab

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// device is what every host's link is called on the host.
const device = "eth0"

// A Host is a network of its own with a loopback interface and one link to the
// switch.
type Host struct {
	lab     *Lab
	name    string
	number  int // 1..MaxHosts, the end of its addresses
	network *namespace
	link    Link
}

// frame is the largest frame of the links: jumbo frames, as data centres have them
// between hosts and storage. With 1500 bytes a third of the machine's time in a
// burst of 16 hosts is spent on packets, which that many real machines share.
const frame = 9000

// Host connects a new host to the switch.
func (l *Lab) Host(name string, link Link) *Host {
	l.tb.Helper()
	if len(l.hosts) == MaxHosts {
		l.tb.Fatalf("netlab: more than %d hosts", MaxHosts)
	}
	network, err := newNamespace()
	l.must(err)
	h := &Host{lab: l, name: name, number: len(l.hosts) + 1, network: network}
	l.hosts = append(l.hosts, h)
	l.must(quiet(network))
	l.must(l.run(l.network, l.ip, fmt.Sprintf(
		"link add name %s mtu %d address %s type veth peer name %s mtu %d address %s netns %s\nlink set %s master switch up\n",
		h.port(), frame, h.mac(0xfe), device, frame, h.mac(2), network.path(), h.port())))
	// The switch knows where everybody is and sends nothing anywhere else.
	l.must(l.run(l.network, l.bridge, fmt.Sprintf(
		"link set dev %s learning off flood off\nfdb add %s dev %s master static\n", h.port(), h.mac(2), h.port())))
	l.must(l.run(network, l.ip, fmt.Sprintf(
		"link set lo up\nlink set %s up\naddr add %s/24 dev %s\n", device, h.IP(), device)))
	for _, other := range l.hosts[:len(l.hosts)-1] {
		l.must(other.meet(h))
		l.must(h.meet(other))
	}
	h.SetLink(link)
	return h
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// IP returns the host's address in the lab.
func (h *Host) IP() string { return fmt.Sprintf("10.77.0.%d", h.number) }

// Address returns "IP:port".
func (h *Host) Address(port int) string { return net.JoinHostPort(h.IP(), strconv.Itoa(port)) }

// Link returns the link as it is now.
func (h *Host) Link() Link { return h.link }

// SetLink changes the link, also while it is used.
func (h *Host) SetLink(link Link) {
	h.lab.tb.Helper()
	l := h.lab
	shaped := h.link.Rate > 0
	h.link = link
	size := fmt.Sprintf("link set %%s gso_max_size %d\n", link.segment())
	l.must(l.run(h.network, l.ip, fmt.Sprintf(size, device)))
	l.must(l.run(l.network, l.ip, fmt.Sprintf(size, h.port())))
	switch {
	case link.Rate > 0:
		l.must(l.run(h.network, l.tc, link.shape(device, 2*link.queue())))
		l.must(l.run(l.network, l.tc, link.shape(h.port(), link.queue())))
	case shaped:
		l.must(l.run(h.network, l.tc, "qdisc del dev "+device+" root\n"))
		l.must(l.run(l.network, l.tc, "qdisc del dev "+h.port()+" root\n"))
	}
}

// Start runs cmd on the host as [testtool.Start] does; ready is called on the
// host as well, as long as it dials on its own goroutine ([testtool.Listening]
// does). The program is killed when the test's process dies.
func (h *Host) Start(tb testing.TB, cmd *exec.Cmd, ready func(context.Context) bool) *testtool.Process {
	tb.Helper()
	var p *testtool.Process
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	h.Do(tb, func() { p = testtool.Start(tb, cmd, ready) })
	return p
}

// Do calls f on the host: sockets that f opens and programs that it starts on
// its own goroutine are the host's.
func (h *Host) Do(tb testing.TB, f func()) {
	tb.Helper()
	if err := h.network.do(func() error { f(); return nil }); err != nil {
		tb.Fatalf("netlab: %s: %v", h.name, err)
	}
}

// Dial connects from the host to address, "IP:port".
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := h.network.do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address) // an IP needs no other goroutine
		return err
	})
	return c, err
}

// Listen listens on the host at address, "IP:port".
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var n net.Listener
	err := h.network.do(func() (err error) {
		n, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return n, err
}

// port is the name of the host's end of the link at the switch.
func (h *Host) port() string { return fmt.Sprintf("port%d", h.number) }

// mac returns a hardware address of the host: 2 is that of its device.
func (h *Host) mac(first byte) string { return fmt.Sprintf("%02x:77:00:00:00:%02x", first, h.number) }
