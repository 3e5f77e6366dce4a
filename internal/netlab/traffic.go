package netlab

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// Traffic is what a host's link has carried so far: bytes of packets with their
// headers, those the switch dropped for want of room not among the received.
type Traffic struct {
	Sent, Received int64
	Packets        int64 // received, as large as the kernel left them
}

// Since returns what was carried after an earlier reading.
func (t Traffic) Since(earlier Traffic) Traffic {
	return Traffic{t.Sent - earlier.Sent, t.Received - earlier.Received, t.Packets - earlier.Packets}
}

// Traffic reads the counters of the host's link.
func (h *Host) Traffic(tb testing.TB) Traffic {
	tb.Helper()
	var t Traffic
	err := h.network.do(func() (err error) {
		t, err = readTraffic(device)
		return err
	})
	if err != nil {
		tb.Fatalf("netlab: %s: %v", h.name, err)
	}
	return t
}

// readTraffic reads the counters of a device of this thread's namespace.
func readTraffic(device string) (t Traffic, err error) {
	doc, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return t, err
	}
	for line := range bytes.Lines(doc) {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok || string(bytes.TrimSpace(name)) != device {
			continue
		}
		fields := bytes.Fields(rest) // received: bytes and seven more; sent: bytes
		if len(fields) < 9 {
			return t, fmt.Errorf("/proc/net/dev: %q", line)
		}
		_, err := fmt.Sscan(string(bytes.Join([][]byte{fields[0], fields[1], fields[8]}, []byte(" "))), &t.Received, &t.Packets, &t.Sent)
		return t, err
	}
	return t, fmt.Errorf("/proc/net/dev: no %s", device)
}
