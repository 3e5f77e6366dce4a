package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A PeerWarmer warms this node for another one.
type PeerWarmer interface {
	// WarmHere calls tell with how far this node is, at least every second, until it is
	// done, tell fails or ctx ends. What tell was told last is the result.
	//
	// Errors: block.ErrNotFound, block.ErrOverloaded, [ErrInvalid].
	WarmHere(ctx context.Context, req *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth) error) error
}

// WarmNode implements [cachedv1connect.PeerServiceHandler].
func (s *peerService) WarmNode(ctx context.Context, req *cachedv1.WarmNodeRequest, out *connect.ServerStream[cachedv1.WarmNodeResponse]) error {
	node, err := s.asker(ctx, req.GetZone(), req.GetNode())
	if err == nil {
		err = checkField("image", req.GetImage())
	}
	if err == nil && s.warmer == nil {
		err = notFound("this node cannot be warmed")
	}
	if err == nil {
		req.Node = node
		err = s.warmer.WarmHere(ctx, req, func(n *cachedv1.NodeWarmth) error {
			return out.Send(&cachedv1.WarmNodeResponse{Node: n})
		})
	}
	return streamEnd(ctx, s.log, err)
}

// streamEnd is what a stream ends with: an error that no caller has made by leaving is
// logged and translated.
func streamEnd(ctx context.Context, log *slog.Logger, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	logFailure(log, kindOf(err), err)
	return toConnect(err)
}

// Nodes asks other nodes to do something that takes a while. It is safe for concurrent use, and
// trusts nobody: what a node says is bounded in size and in time.
type Nodes struct {
	*peerRPC
	silence time.Duration
}

// NewNodes returns a Nodes; of the options, those about connections to one node do
// not matter.
func NewNodes(options PeerClientOptions) *Nodes { return &Nodes{newPeerRPC(options), nodeSilence} }

const (
	// nodeSilence is how long a node that does so may let nothing be heard; it speaks
	// once a second.
	nodeSilence = 10 * time.Second
	// nodeStuck is how long one that warms itself may speak without having got a block.
	nodeStuck = 5 * time.Minute
)

var errStuck = fmt.Errorf("no block has come there for %v: %w", nodeStuck, block.ErrUnavailable)

// Warm has the node to warm itself, and calls tell with how far it is until it is
// done. Errors: those of [Peers.Fetch].
func (n *Nodes) Warm(ctx context.Context, to placement.Member, req *cachedv1.WarmNodeRequest, tell func(*cachedv1.NodeWarmth)) error {
	req.Zone, req.Node = n.options.Zone, n.options.Node
	held, since := uint64(math.MaxUint64), time.Now()
	return hear(ctx, n, to, "warm "+req.GetImage(), func(ctx context.Context) (*connect.ServerStreamForClient[cachedv1.WarmNodeResponse], error) {
		return n.client(to).WarmNode(ctx, req)
	}, func(m *cachedv1.WarmNodeResponse) error {
		now := m.GetNode()
		if err := checkWarmth(now); err != nil {
			return fmt.Errorf("%w: %w", block.ErrUnavailable, err)
		}
		if now.GetBlocksHeld() != held {
			held, since = now.GetBlocksHeld(), time.Now()
		} else if time.Since(since) > nodeStuck {
			return errStuck
		}
		now.Node = to.Name
		tell(now)
		return nil
	})
}

// hear has each called with what a node says in a stream until it has said all. One
// that falls silent is given up, and so is one of which each does not approve.
func hear[T any](
	ctx context.Context, n *Nodes, to placement.Member, what string,
	call func(context.Context) (*connect.ServerStreamForClient[T], error), each func(*T) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(n.silence, func() { cancel(placement.ErrStalled) })
	defer silence.Stop()
	stream, err := call(context.WithValue(ctx, memberKey{}, to))
	if err != nil {
		return n.explain(ctx, to, what, err)
	}
	defer stream.Close()
	for stream.Receive() {
		silence.Reset(n.silence)
		if err := each(stream.Msg()); err != nil {
			return fmt.Errorf("peer %s (%s): %s: %w", to.Name, to.Address, what, err)
		}
	}
	return n.explain(ctx, to, what, stream.Err())
}

// checkWarmth wants figures that can be.
func checkWarmth(n *cachedv1.NodeWarmth) error {
	if n == nil || n.GetBlocksHeld() > n.GetBlocks() || n.GetBytesHeld() > n.GetBytes() || n.GetBytes() > math.MaxInt64 {
		return errors.New("what it says it holds makes no sense")
	}
	return checkField("problem", n.GetProblem())
}
