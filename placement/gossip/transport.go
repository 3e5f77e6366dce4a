package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's own, whose connections end when it is shut down:
// without that, goroutines would wait for strangers long after Close.
type transport struct {
	*memberlist.NetTransport
	reach   func(netip.AddrPort) bool
	ctx     context.Context //nolint:containedctx // of dials, which memberlist makes without one
	cancel  context.CancelFunc
	streams chan net.Conn
	done    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// listen opens the gossip port for UDP and TCP. With port 0 a port must be found
// that is free for both, which takes a few tries on a busy machine.
func listen(bind netip.AddrPort, reach func(netip.AddrPort) bool, log slog.Handler) (*transport, error) {
	conf := &memberlist.NetTransportConfig{
		BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()),
		Logger: slog.NewLogLogger(log, slog.LevelInfo),
	}
	tries := 1
	if bind.Port() == 0 {
		tries = 10
	}
	var inner *memberlist.NetTransport
	var err error
	for range tries {
		if inner, err = memberlist.NewNetTransport(conf); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", bind, err)
	}
	t := &transport{NetTransport: inner, reach: reach, streams: make(chan net.Conn), conns: map[net.Conn]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.done.Go(t.accept)
	return t, nil
}

func (t *transport) port() uint16 {
	return uint16(t.GetAutoBindPort())
}

// accept hands on incoming streams and remembers them.
func (t *transport) accept() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case conn := <-t.NetTransport.StreamCh():
			kept, err := t.track(conn)
			if err != nil {
				continue
			}
			select {
			case t.streams <- kept:
			case <-t.ctx.Done():
				_ = kept.Close()
			}
		}
	}
}

func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if !t.reaches(a.Addr) {
		return time.Now(), nil // lost on the way
	}
	return t.NetTransport.WriteToAddress(b, a)
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

// Shutdown ends dials, streams and listeners. The listeners hand over what they
// have before they end, to memberlist if it still reads, else to nobody.
func (t *transport) Shutdown() error {
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
	t.done.Go(func() {
		for {
			select {
			case <-t.ctx.Done():
				return
			case <-t.PacketCh():
			}
		}
	})
	err := t.NetTransport.Shutdown()
	t.cancel()
	t.done.Wait()
	return err
}
