package gossip

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func openTransport(t *testing.T) *transport {
	t.Helper()
	tr, err := (&Membership{}).listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// In a burst of 16 hosts a buffer of 64 KiB for each packet was 3.8 % of what a
// daemon did.
func TestAPacketTakesTheMemoryOfItsBytes(t *testing.T) {
	from, to := openTransport(t), openTransport(t)
	const packets, size = 200, 300
	address := memberlist.Address{Addr: to.tcp.Addr().String()}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var got [packets]*memberlist.Packet
	for i := range packets {
		if _, err := from.WriteToAddress(bytes.Repeat([]byte{byte(i)}, size), address); err != nil {
			t.Fatal(err)
		}
		select {
		case got[i] = <-to.PacketCh():
		case <-time.After(10 * time.Second):
			t.Fatalf("packet %d did not arrive", i)
		}
	}
	runtime.ReadMemStats(&after)
	for i, p := range got {
		if !bytes.Equal(p.Buf, bytes.Repeat([]byte{byte(i)}, size)) || p.From.String() != from.udp.LocalAddr().String() || p.Timestamp.IsZero() {
			t.Fatalf("packet %d: %d bytes from %v at %v", i, len(p.Buf), p.From, p.Timestamp)
		}
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / packets; each > 8<<10 {
		t.Errorf("%d bytes of memory for a packet of %d", each, size)
	}
}

// The largest packet that UDP has arrives whole.
func TestALargePacketIsNotCut(t *testing.T) {
	from, to := openTransport(t), openTransport(t)
	sent := bytes.Repeat([]byte("x"), 65507)
	if _, err := from.WriteTo(sent, to.tcp.Addr().String()); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-to.PacketCh():
		if !bytes.Equal(p.Buf, sent) {
			t.Errorf("%d bytes", len(p.Buf))
		}
	case <-time.After(10 * time.Second):
		t.Error("it did not arrive")
	}
}

// Nobody takes what arrives any more, and Shutdown ends all the same: the leak
// check of this package sees what it leaves.
func TestShutdownWithUntakenPacketsAndStreams(t *testing.T) {
	to := openTransport(t)
	address := to.tcp.Addr().String()
	packets, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	for range 3 {
		if _, err := packets.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		stream, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
	}
}

func TestTheAddressThatIsAdvertised(t *testing.T) {
	tr := openTransport(t)
	port := int(tr.port())
	for _, c := range []struct {
		ip       string
		port     int
		want     string
		wantPort int
	}{
		{"", 0, "127.0.0.1", port},
		{"10.1.2.3", 7946, "10.1.2.3", 7946},
		{"::ffff:10.1.2.3", 7946, "10.1.2.3", 7946},
		{"fd00::1", 7946, "fd00::1", 7946},
	} {
		ip, port, err := tr.FinalAdvertiseAddr(c.ip, c.port)
		if err != nil || ip.String() != c.want || port != c.wantPort {
			t.Errorf("%q: %v, %d, %v; want %s, %d", c.ip, ip, port, err, c.want, c.wantPort)
		}
	}
	if _, _, err := tr.FinalAdvertiseAddr("host", 1); err == nil {
		t.Error("a name is taken for an address")
	}
	if udp := tr.udp.LocalAddr().(*net.UDPAddr).Port; udp != port {
		t.Errorf("UDP on port %d, TCP on %d", udp, port)
	}
}
