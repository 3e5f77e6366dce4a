package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/sparse"
)

// PeerTrees seats nodes in the trees of images (zone.distribution: tree). node is
// the one that asks.
type PeerTrees interface {
	// JoinTree seats the node, or keeps its seat; lost is the parent that failed
	// it, or "". Errors: block.ErrNotFound, [ErrInvalid].
	JoinTree(image, node, lost string) (placement.Seat, error)
	// LeaveTree takes the seat back.
	LeaveTree(image, node string)
}

// PeerHandlerOptions are those of [NewPeerHandler].
type PeerHandlerOptions struct {
	Zone    string       // nodes that state another one are refused
	Warmer  PeerWarmer   // nil: the node cannot be warmed
	Driller PeerDriller  // nil: the node takes part in no drills
	Logger  *slog.Logger // nil: discard
}

// NewPeerHandler returns the handler of PeerService, for [PeerServices].Other.
func NewPeerHandler(trees PeerTrees, options PeerHandlerOptions) http.Handler {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.Handle(cachedv1connect.NewPeerServiceHandler(
		&peerService{trees: trees, warmer: options.Warmer, driller: options.Driller, zone: options.Zone, log: options.Logger},
		noCompression(), connect.WithReadMaxBytes(maxPeerMessage)))
	return mux
}

// maxPeerMessage bounds a message between nodes: a few names.
const maxPeerMessage = 4 << 10

// A peerService serves PeerService.
type peerService struct {
	trees    PeerTrees
	warmer   PeerWarmer  // may be nil
	driller  PeerDriller // may be nil
	zone     string
	log      *slog.Logger
	complain sparse.Gate
}

var _ cachedv1connect.PeerServiceHandler = (*peerService)(nil)

// JoinTree implements [cachedv1connect.PeerServiceHandler].
func (s *peerService) JoinTree(ctx context.Context, req *cachedv1.JoinTreeRequest) (*cachedv1.JoinTreeResponse, error) {
	node, err := s.asker(ctx, req.GetZone(), req.GetNode())
	if err == nil {
		err = errors.Join(checkField("image", req.GetImage()), checkField("lost", req.GetLost()))
	}
	var seat placement.Seat
	if err == nil {
		seat, err = s.trees.JoinTree(req.GetImage(), node, req.GetLost())
	}
	if err != nil {
		logFailure(s.log, kindOf(err), err)
		return nil, toConnect(err)
	}
	return &cachedv1.JoinTreeResponse{Parent: seat.Parent, Level: uint32(seat.Level)}, nil
}

// LeaveTree implements [cachedv1connect.PeerServiceHandler].
func (s *peerService) LeaveTree(ctx context.Context, req *cachedv1.LeaveTreeRequest) (*cachedv1.LeaveTreeResponse, error) {
	node, err := s.asker(ctx, req.GetZone(), req.GetNode())
	if err == nil {
		err = checkField("image", req.GetImage())
	}
	if err != nil {
		return nil, toConnect(err)
	}
	s.trees.LeaveTree(req.GetImage(), node)
	return &cachedv1.LeaveTreeResponse{}, nil
}

// asker returns the node that asks: who its certificate says it is, or without
// one, who it says it is.
func (s *peerService) asker(ctx context.Context, zone, node string) (string, error) {
	if known := PeerName(ctx); known != "" {
		node = known
	}
	if zone != "" && s.zone != "" && zone != s.zone {
		s.complain.Warn(s.log, "a node of another zone asked for something", "node", node, "zone", zone, "own_zone", s.zone)
		return "", fmt.Errorf("zone %q is not %q, which this node serves: %w", zone, s.zone, ErrDenied)
	}
	if node == "" {
		return "", invalid("the asking node has no name")
	}
	return node, checkField("node", node)
}

// Trees asks other nodes, as registrars, for seats in the trees of images. It is
// safe for concurrent use.
type Trees struct{ *peerRPC }

// NewTrees returns a Trees; of the options, those about connections to one node
// do not matter.
func NewTrees(options PeerClientOptions) *Trees { return &Trees{newPeerRPC(options)} }

// JoinTree asks the node to for a seat in the image's tree; lost is the parent
// that failed this node, or "". Errors: those of [Peers.Fetch].
func (t *Trees) JoinTree(ctx context.Context, to placement.Member, image, lost string) (placement.Seat, error) {
	ctx, cancel := t.within(ctx)
	defer cancel()
	resp, err := t.client(to).JoinTree(context.WithValue(ctx, memberKey{}, to), &cachedv1.JoinTreeRequest{
		Image: image, Lost: lost, Zone: t.options.Zone, Node: t.options.Node,
	})
	if err != nil {
		return placement.Seat{}, t.explain(ctx, to, "join the tree of "+image, err)
	}
	if err := checkField("parent", resp.GetParent()); err != nil || resp.GetLevel() > 255 {
		return placement.Seat{}, fmt.Errorf("peer %s (%s): join the tree of %s: %w: a seat at level %d, below %.80q",
			to.Name, to.Address, image, block.ErrUnavailable, resp.GetLevel(), resp.GetParent())
	}
	return placement.Seat{Parent: resp.GetParent(), Level: int(resp.GetLevel())}, nil
}

// LeaveTree gives the seat back.
func (t *Trees) LeaveTree(ctx context.Context, to placement.Member, image string) error {
	ctx, cancel := t.within(ctx)
	defer cancel()
	_, err := t.client(to).LeaveTree(context.WithValue(ctx, memberKey{}, to), &cachedv1.LeaveTreeRequest{
		Image: image, Zone: t.options.Zone, Node: t.options.Node,
	})
	return t.explain(ctx, to, "leave the tree of "+image, err)
}

// seatTimeout is how long a node may take to say which seat it gives.
const seatTimeout = 2 * time.Second

func (t *Trees) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, seatTimeout, placement.ErrStalled)
}
