package netlab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// A Lab is a switch and the hosts connected to it. It may be used by one
// goroutine at a time; its hosts' Dial, Listen and Traffic by any number.
type Lab struct {
	tb      testing.TB
	ip, tc  string
	bridge  string
	network *namespace // the switch's
	hosts   []*Host
	cut     [][2]*Host // from, to: what the switch loses
}

// MaxHosts is how many hosts a lab can have.
const MaxHosts = 250

// New returns a lab without hosts, which ends with the test. The test is skipped
// where namespaces cannot be made.
func New(tb testing.TB) *Lab {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root, to make network namespaces: run the test as root")
	}
	l := &Lab{
		tb:     tb,
		ip:     testtool.Debian(tb, "ip"),
		tc:     testtool.Debian(tb, "tc"),
		bridge: testtool.Debian(tb, "bridge"),
	}
	var err error
	if l.network, err = newNamespace(); err != nil {
		tb.Skipf("needs network namespaces, which this machine or sandbox does not allow: %v", err)
	}
	tb.Cleanup(l.close)
	l.must(quiet(l.network))
	l.must(l.run(l.network, l.ip, fmt.Sprintf("link add name switch mtu %d type bridge\nlink set switch up\n", frame)))
	return l
}

func (l *Lab) close() {
	for _, h := range l.hosts {
		h.network.close()
	}
	l.network.close()
}

// Hosts returns the hosts in the order in which they were connected.
func (l *Lab) Hosts() []*Host { return slices.Clone(l.hosts) }

// run gives a batch of commands to ip, tc or bridge in ns.
func (l *Lab) run(ns *namespace, program, batch string) error {
	return ns.do(func() error {
		cmd := exec.Command(program, "-batch", "-")
		cmd.Stdin = strings.NewReader(batch)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w: %s in\n%s", program, err, strings.TrimSpace(out.String()), batch)
		}
		return nil
	})
}

// quiet keeps IPv6 from talking to itself on every link.
func quiet(ns *namespace) error {
	return ns.do(func() error {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		if os.IsNotExist(err) {
			return nil // a kernel without IPv6
		}
		return err
	})
}

func (l *Lab) must(err error) {
	l.tb.Helper()
	if err != nil {
		l.tb.Fatalf("netlab: %v", err)
	}
}
