package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/memberlist"
)

// transport is what memberlist's own one is, but for two things. Its connections
// end when it is shut down: without that, goroutines would wait for strangers long
// after Close. And packets are read into one buffer: memberlist's makes, and the
// kernel clears, one of 64 KiB for each: 3.8 % of a daemon's time in a burst of 16
// hosts.
type transport struct {
	udp     *net.UDPConn
	tcp     *net.TCPListener
	reach   func(netip.AddrPort) bool
	say     func(level slog.Level, key, text string, args ...any)
	ctx     context.Context //nolint:containedctx // of dials, which memberlist makes without one
	cancel  context.CancelFunc
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

const (
	largestPacket = 64 << 10
	packetBacklog = 2 << 20              // bytes the kernel is asked to hold of packets not read yet
	firstPause    = 5 * time.Millisecond // after an error; doubles
	maxPause      = time.Second
)

// listen opens the gossip port for UDP and TCP. With port 0 a port must be found
// that is free for both, which takes a few tries on a busy machine.
func (m *Membership) listen(bind netip.AddrPort) (*transport, error) {
	tries := 1
	if bind.Port() == 0 {
		tries = 10
	}
	t := &transport{
		reach: m.opt.Reach, say: m.say, conns: map[net.Conn]struct{}{},
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
	}
	var err error
	for range tries {
		if t.tcp, t.udp, err = listenBoth(bind); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", bind, err)
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.done.Go(t.accept)
	t.done.Go(t.receive)
	return t, nil
}

// listenBoth listens on the port that TCP gets, with UDP too.
func listenBoth(bind netip.AddrPort) (*net.TCPListener, *net.UDPConn, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bind))
	if err != nil {
		return nil, nil, err
	}
	port := tcp.Addr().(*net.TCPAddr).AddrPort().Port()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(bind.Addr(), port)))
	if err != nil {
		return nil, nil, errors.Join(err, tcp.Close())
	}
	for size := packetBacklog; size > 0 && udp.SetReadBuffer(size) != nil; {
		size /= 2
	}
	return tcp, udp, nil
}

func (t *transport) port() uint16 { return t.tcp.Addr().(*net.TCPAddr).AddrPort().Port() }

// FinalAdvertiseAddr implements [memberlist.Transport]: without an address it is
// the one listened on, or the host's private one.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip == "" {
		port = int(t.port())
		bound := t.tcp.Addr().(*net.TCPAddr).IP
		if !bound.IsUnspecified() {
			return bound, port, nil
		}
		var err error
		if ip, err = sockaddr.GetPrivateIP(); err != nil || ip == "" {
			return nil, 0, errors.Join(errors.New("no private address of this host was found: say under which one others reach its gossip"), err)
		}
	}
	final := net.ParseIP(ip)
	if final == nil {
		return nil, 0, fmt.Errorf("advertised address %q: want ip", ip)
	}
	if ip4 := final.To4(); ip4 != nil {
		final = ip4
	}
	return final, port, nil
}

// accept hands on incoming streams and remembers them.
func (t *transport) accept() {
	pause := firstPause
	for t.ctx.Err() == nil {
		conn, err := t.tcp.Accept()
		if err == nil {
			pause = firstPause
			conn, err = t.track(conn)
		}
		if err != nil {
			pause = t.failed("gossip: no connection can be accepted for now", err, pause)
			continue
		}
		select {
		case t.streams <- conn:
		case <-t.ctx.Done():
			_ = conn.Close()
		}
	}
}

// receive hands on packets, each in as much memory as it has bytes.
func (t *transport) receive() {
	buf := make([]byte, largestPacket)
	pause := firstPause
	for t.ctx.Err() == nil {
		n, from, err := t.udp.ReadFromUDP(buf)
		now := time.Now()
		if err != nil {
			pause = t.failed("gossip: no packet can be read for now", err, pause)
			continue
		}
		pause = firstPause
		if n == 0 {
			continue
		}
		select {
		case t.packets <- &memberlist.Packet{Buf: bytes.Clone(buf[:n]), From: from, Timestamp: now}:
		case <-t.ctx.Done():
		}
	}
}

// failed waits a moment after an error, unless it was the end, and returns the
// next pause.
func (t *transport) failed(what string, err error, pause time.Duration) time.Duration {
	if t.ctx.Err() != nil {
		return pause
	}
	t.say(slog.LevelWarn, what, what, "error", err, "retry", pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
	return min(2*pause, maxPause)
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if !t.reaches(a.Addr) {
		return time.Now(), nil // lost on the way
	}
	to, err := net.ResolveUDPAddr("udp", a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.udp.WriteToUDP(b, to)
	return time.Now(), err
}

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if !t.reaches(a.Addr) {
		return nil, fmt.Errorf("dial %s: unreachable", a.Addr)
	}
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	return t.track(conn)
}

func (t *transport) reaches(addr string) bool {
	if t.reach == nil {
		return true
	}
	to, err := netip.ParseAddrPort(addr)
	return err == nil && t.reach(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
}

// track makes a connection end with the transport.
func (t *transport) track(conn net.Conn) (net.Conn, error) {
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.conns[conn] = struct{}{}
	}
	t.mu.Unlock()
	if closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return &tracked{Conn: conn, of: t}, nil
}

type tracked struct {
	net.Conn
	of *transport
}

func (c *tracked) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// Shutdown ends dials, streams and listeners. Packets that nobody has taken are lost.
func (t *transport) Shutdown() error {
	t.cancel()
	t.mu.Lock()
	t.closed = true
	open := make([]net.Conn, 0, len(t.conns))
	for conn := range t.conns {
		open = append(open, conn)
	}
	t.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	t.done.Wait()
	return err
}
