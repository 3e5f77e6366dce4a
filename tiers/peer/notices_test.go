package peer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// listening makes a node of the zone anew, which writes down whom it names dead.
func (z *zone) listening(name string) (n *testNode, named func() []string) {
	var mu sync.Mutex
	var names []string
	if err := z.nodes[name].tier.Close(); err != nil {
		z.t.Fatal(err)
	}
	z.nodes[name].l1.Close()
	n = z.start(name, Options{Suspect: func(node, _ string) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, node)
	}})
	return n, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}
}

// A node whose own certificate has expired is refused by all the others: it must
// not name each of them dead.
func TestANodeWithAnExpiredCertificateNamesNobodyDead(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		dead bool
	}{
		{"expired certificate of the other", x509.CertificateInvalidError{Reason: x509.Expired}, false},
		{"expired certificate of this node", &net.OpError{Op: "remote error", Err: errors.New("tls: expired certificate")}, false},
		{"closed in the handshake", io.ErrUnexpectedEOF, false},
		{"reset in the handshake", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
		{"no sense", errors.New("the answer does not state its length"), false},
		{"nobody listens", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{"no way", &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, true},
		{"no connection in time", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "a", "b", "c")
				a, named := z.listening("a")
				z.fault = func(asking) fault {
					return fault{refuse: fmt.Errorf("peer: %w: %w", block.ErrUnavailable, tt.err)}
				}
				a.mustRead(z.block(1, 10_000, "b", "c"))
				if got := named(); (len(got) > 0) != tt.dead {
					t.Errorf("it names %v dead", got)
				}
				if s := a.tier.Stats(); s.Failures == 0 {
					t.Error("no failure is counted")
				}
			})
		})
	}
}

// The end of a read's own time is no fault of the node that it waits for, also
// where the transport notices it a moment before the context does.
func TestAReadOutOfTimeBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		z.fault = func(asking) fault { return fault{refuse: fmt.Errorf("peer: %w", context.DeadlineExceeded)} }
		z.nodes["a"].mustRead(z.block(1, 10_000, "b", "c"))
		for _, h := range z.nodes["a"].tier.Health() {
			if h.State != Closed || h.Failures != 0 {
				t.Errorf("blamed: %+v", h)
			}
		}
	})
}

// A registrar whose answer is lost, but that speaks on another connection, lives.
func TestARegistrarThatSpeaksElsewhereIsNotNamedDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newTreeZone(t, 4)
		registrar := z.registrar()
		name := z.names[slices.IndexFunc(z.names, func(n string) bool { return n != registrar })]
		tier := z.nodes[name].tier
		var named []string
		tier.opts.Suspect = func(node, _ string) { named = append(named, node) }
		tier.trees.registrar = silentRegistrar{}
		time.AfterFunc(renewEvery/2, tier.peers.get(registrar).alive)
		if _, err := tier.trees.sit(t.Context(), testImage, ""); !errors.Is(err, ErrStalled) {
			t.Errorf("error %v", err)
		}
		if named != nil {
			t.Errorf("it names %v dead", named)
		}
		_ = rest(t.Context(), renewEvery)
		if _, err := tier.trees.sit(t.Context(), testImage, ""); !errors.Is(err, ErrStalled) || !slices.Equal(named, []string{registrar}) {
			t.Errorf("error %v; it names %v dead, want a registrar that says nothing at all", err, named)
		}
	})
}

// A silentRegistrar never answers.
type silentRegistrar struct{}

func (silentRegistrar) JoinTree(ctx context.Context, _ placement.Member, _, _ string) (placement.Seat, error) {
	<-ctx.Done()
	return placement.Seat{}, ctx.Err()
}

func (silentRegistrar) LeaveTree(ctx context.Context, _ placement.Member, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}
