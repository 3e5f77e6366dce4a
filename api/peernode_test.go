package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// A warmedNode is a PeerWarmer as a test wants it.
type warmedNode func(ctx context.Context, req *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth) error) error

func (f warmedNode) WarmHere(ctx context.Context, req *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth) error) error {
	return f(ctx, req, tell)
}

func newNodes(tb testing.TB, options PeerClientOptions) *Nodes {
	tb.Helper()
	options.Zone, options.DialTimeout = "z", 10*time.Second
	nodes := NewNodes(options)
	tb.Cleanup(func() { nodes.Close() })
	return nodes
}

func TestANodeIsWarmedOverTheWire(t *testing.T) {
	bothWays(t, func(t *testing.T, server PeerServerOptions, client PeerClientOptions) {
		heard := ""
		warmer := warmedNode(func(_ context.Context, req *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth) error) error {
			heard = fmt.Sprintf("%s %s %v %v by %s", req.GetImage(), req.GetManifestId(), req.GetScope(), req.GetCheck(), req.GetNode())
			for held := range uint64(3) {
				if err := tell(&cachedv1.NodeWarmth{Node: "another", Blocks: 2, BlocksHeld: held, Bytes: 20, BytesHeld: 10 * held}); err != nil {
					return err
				}
			}
			return nil
		})
		to := servePeersAs(t, PeerServices{Other: NewPeerHandler(&grove{}, PeerHandlerOptions{Zone: "z", Warmer: warmer})}, server)
		var told []string
		req := &cachedv1.WarmNodeRequest{Image: "flask:v1", ManifestId: "blake3:1", Scope: cachedv1.PreparationScope_PREPARATION_SCOPE_ALL, Check: true}
		err := newNodes(t, client).Warm(t.Context(), to, req, func(n *cachedv1.NodeWarmth) {
			told = append(told, fmt.Sprintf("%s %d %d", n.GetNode(), n.GetBlocksHeld(), n.GetBytesHeld()))
		})
		if got, want := strings.Join(told, ", "), "server 0 0, server 1 10, server 2 20"; err != nil || got != want {
			t.Errorf("told %s, %v, want %s", got, err, want)
		}
		if want := "flask:v1 blake3:1 PREPARATION_SCOPE_ALL true by client"; heard != want {
			t.Errorf("heard %s, want %s", heard, want)
		}
	})
}

// What another node says is not believed when it cannot be, and it is not waited for
// without end.
func TestNodesThatCannotBeWarmed(t *testing.T) {
	says := func(n *cachedv1.NodeWarmth) warmedNode {
		return func(_ context.Context, _ *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth) error) error {
			return tell(n)
		}
	}
	fails := func(err error) warmedNode {
		return func(context.Context, *cachedv1.WarmNodeRequest, func(*cachedv1.NodeWarmth) error) error { return err }
	}
	for name, tt := range map[string]struct {
		warmer PeerWarmer
		zone   string
		want   error
		says   string
	}{
		"more than there is": {says(&cachedv1.NodeWarmth{Blocks: 1, BlocksHeld: 2}), "z", block.ErrUnavailable, "makes no sense"},
		"more bytes":         {says(&cachedv1.NodeWarmth{Bytes: 1, BytesHeld: 2}), "z", block.ErrUnavailable, "makes no sense"},
		"a long story":       {says(&cachedv1.NodeWarmth{Problem: strings.Repeat("x", 2*maxPeerMessage)}), "z", block.ErrUnavailable, "larger than"},
		"nothing":            {says(nil), "z", block.ErrUnavailable, "makes no sense"},
		"silence": {warmedNode(func(ctx context.Context, _ *cachedv1.WarmNodeRequest, _ func(*cachedv1.NodeWarmth) error) error {
			<-ctx.Done()
			return ctx.Err()
		}), "z", block.ErrUnavailable, ""},
		"busy":                   {fails(fmt.Errorf("4 images already: %w", block.ErrOverloaded)), "z", block.ErrOverloaded, "4 images already"},
		"no such image":          {fails(block.ErrNotFound), "z", block.ErrNotFound, ""},
		"one that warms nothing": {nil, "z", ErrNotFound, "cannot be warmed"},
		"another zone":           {says(&cachedv1.NodeWarmth{}), "y", ErrDenied, "zone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := servePeersAs(t, PeerServices{Other: NewPeerHandler(&grove{}, PeerHandlerOptions{Zone: tt.zone, Warmer: tt.warmer})}, PeerServerOptions{})
			nodes := newNodes(t, PeerClientOptions{Node: "client"})
			nodes.silence = 10 * time.Second
			if name == "silence" {
				nodes.silence = 50 * time.Millisecond
			}
			err := nodes.Warm(t.Context(), to, &cachedv1.WarmNodeRequest{Image: "app"}, func(*cachedv1.NodeWarmth) {})
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v that says %q", err, tt.want, tt.says)
			}
		})
	}
}
