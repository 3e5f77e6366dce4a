package api

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestASlowUplinkHasFewBytesWait(t *testing.T) {
	for rate, want := range map[uint32]int{
		0:      128 << 10, // not known
		10:     leastUnsent,
		100:    62_500,
		1_000:  128 << 10,
		25_000: 128 << 10,
	} {
		o := PeerServerOptions{Rate: func() uint32 { return rate }}.withDefaults()
		if got := o.unsent(); got != want {
			t.Errorf("%d Mbit/s: %d bytes, want %d", rate, got, want)
		}
	}
}

// The rate is known only once blocks were sent.
func TestWhatWaitsFollowsTheUplink(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asker, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	waits := 128 << 10
	c := newLaneConn(&lane{options: laneOptions{unsent: func() int { return waits }}}, conn)
	defer c.cancel()
	for _, waits = range []int{waits, leastUnsent, 64 << 10} {
		c.holdBack()
		var got int
		if err := c.fd.Control(func(fd uintptr) {
			got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
		}); err != nil || got != waits {
			t.Errorf("%d bytes may wait, want %d: %v", got, waits, err)
		}
	}
}
