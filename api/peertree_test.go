package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A grove is a PeerTrees that remembers who asked.
type grove struct {
	mu   sync.Mutex
	said []string
	seat placement.Seat
	err  error
}

func (g *grove) JoinTree(image, node, lost string) (placement.Seat, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.said = append(g.said, fmt.Sprintf("join %s by %s, lost %q", image, node, lost))
	return g.seat, g.err
}

func (g *grove) LeaveTree(image, node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.said = append(g.said, fmt.Sprintf("leave %s by %s", image, node))
}

func (g *grove) heard() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.said, "; ")
}

func newTrees(tb testing.TB, options PeerClientOptions) *Trees {
	tb.Helper()
	if options.DialTimeout == 0 {
		options.DialTimeout = 10 * time.Second
	}
	trees := NewTrees(options)
	tb.Cleanup(func() { trees.Close() })
	return trees
}

func TestTreeSeatsOverTheWire(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		g := &grove{seat: placement.Seat{Parent: "node-7", Level: 3}}
		to := servePeersAs(t, PeerServices{Other: NewPeerHandler(g, PeerHandlerOptions{Zone: "z"})}, server)
		client.Zone = "z"
		trees := newTrees(t, client)
		for range 2 { // the second time over the same connection
			if seat, err := trees.JoinTree(t.Context(), to, "flask:v1", "node-3"); err != nil || seat != g.seat {
				t.Fatalf("JoinTree: %v, %v", seat, err)
			}
		}
		if err := trees.LeaveTree(t.Context(), to, "flask:v1"); err != nil {
			t.Fatal(err)
		}
		want := `join flask:v1 by client, lost "node-3"; join flask:v1 by client, lost "node-3"; leave flask:v1 by client`
		if got := g.heard(); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

func TestTreeRefusals(t *testing.T) {
	g := &grove{}
	to := servePeersAs(t, PeerServices{Other: NewPeerHandler(g, PeerHandlerOptions{Zone: "z"})}, PeerServerOptions{})
	long := strings.Repeat("x", maxPeerMessage)
	for name, tt := range map[string]struct {
		options PeerClientOptions
		image   string
		err     error // of the registrar
		want    error
	}{
		"another zone":                {PeerClientOptions{Node: "a", Zone: "other"}, "i", nil, ErrDenied},
		"no name":                     {PeerClientOptions{}, "i", nil, ErrInvalid},
		"a name that is none":         {PeerClientOptions{Node: "a\nb"}, "i", nil, ErrInvalid},
		"an image that is none":       {PeerClientOptions{Node: "a"}, "i\x00", nil, ErrInvalid},
		"a name too long to be read":  {PeerClientOptions{Node: "a"}, long, nil, block.ErrOverloaded},
		"no trees at the node":        {PeerClientOptions{Node: "a"}, "i", fmt.Errorf("no trees: %w", block.ErrNotFound), block.ErrNotFound},
		"a zone that is not stated":   {PeerClientOptions{Node: "a"}, "i", nil, nil},
		"a node that keeps the trees": {PeerClientOptions{Node: "a", Zone: "z"}, "i", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g.mu.Lock()
			g.err = tt.err
			g.mu.Unlock()
			trees := newTrees(t, tt.options)
			if _, err := trees.JoinTree(t.Context(), to, tt.image, ""); !errors.Is(err, tt.want) {
				t.Errorf("JoinTree: %v, want %v", err, tt.want)
			}
			if tt.err == nil {
				if err := trees.LeaveTree(t.Context(), to, tt.image); !errors.Is(err, tt.want) {
					t.Errorf("LeaveTree: %v, want %v", err, tt.want)
				}
			}
		})
	}
}

// A registrar that is not there, hangs, or says what makes no sense.
func TestTreeRegistrarFails(t *testing.T) {
	handle := func(f http.HandlerFunc) placement.Member {
		return servePeersAs(t, PeerServices{Other: f}, PeerServerOptions{})
	}
	gone := listen(t)
	gone.Close()
	for name, to := range map[string]placement.Member{
		"not there":   {Name: "server", Address: gone.Addr().String()},
		"no trees":    servePeersAs(t, PeerServices{}, PeerServerOptions{}),
		"not connect": handle(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }),
		"a redirect": handle(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}),
		"an endless answer": handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/proto")
			io.Copy(io.Discard, r.Body)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}),
		"a seat as deep as can be": servePeersAs(t, PeerServices{Other: NewPeerHandler(&grove{seat: placement.Seat{Parent: "x", Level: 1 << 20}}, PeerHandlerOptions{})}, PeerServerOptions{}),
		"a parent that is none":    servePeersAs(t, PeerServices{Other: NewPeerHandler(&grove{seat: placement.Seat{Parent: "x\r\ny"}}, PeerHandlerOptions{})}, PeerServerOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, placement.ErrStalled)
			defer cancel()
			seat, err := newTrees(t, PeerClientOptions{Node: "a"}).JoinTree(ctx, to, "i", "")
			if !errors.Is(err, block.ErrUnavailable) && !errors.Is(err, block.ErrNotFound) && !errors.Is(err, block.ErrOverloaded) {
				t.Errorf("%v, %v", seat, err)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		to := handle(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // until then net/http does not notice that the asker goes
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, placement.ErrStalled)
		defer cancel()
		if _, err := newTrees(t, PeerClientOptions{Node: "a"}).JoinTree(ctx, to, "i", ""); !errors.Is(err, placement.ErrStalled) || !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	})
}

// A node without a certificate of the zone gets no seat.
func TestTreeWithoutCertificate(t *testing.T) {
	server, _ := secure(t)
	g := &grove{}
	to := servePeersAs(t, PeerServices{Other: NewPeerHandler(g, PeerHandlerOptions{})}, server)
	if _, err := newTrees(t, PeerClientOptions{Node: "a"}).JoinTree(t.Context(), to, "i", ""); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	_, stranger := secure(t)
	if _, err := newTrees(t, stranger).JoinTree(t.Context(), to, "i", ""); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if g.heard() != "" {
		t.Errorf("heard %s", g.heard())
	}
}

// A node that has come back at another address is asked there, though who
// answers at the former one still does.
func TestTreeAsksANodeWhereItIsNow(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		before, after := &grove{}, &grove{seat: placement.Seat{Parent: "p"}}
		old := servePeersAs(t, PeerServices{Other: NewPeerHandler(before, PeerHandlerOptions{})}, server)
		now := servePeersAs(t, PeerServices{Other: NewPeerHandler(after, PeerHandlerOptions{})}, server)
		trees := newTrees(t, client)
		if _, err := trees.JoinTree(t.Context(), old, "i", ""); err != nil {
			t.Fatal(err)
		}
		if seat, err := trees.JoinTree(t.Context(), now, "i", ""); err != nil || seat.Parent != "p" {
			t.Errorf("%v, %v: the node at the former address was asked", seat, err)
		}
	})
}
