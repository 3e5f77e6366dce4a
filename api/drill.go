package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// MaxDrill is how long a drill may count first, and how long caches may seem empty.
const MaxDrill = time.Hour

// DrillZone implements [cachedv1connect.AdminServiceHandler].
func (s *adminService) DrillZone(ctx context.Context, req *cachedv1.DrillZoneRequest, out *connect.ServerStream[cachedv1.DrillZoneResponse]) error {
	err := asOperator(ctx)
	if err == nil && s.drills == nil {
		err = invalid("this daemon takes part in no drills")
	}
	if err == nil {
		err = checkDrill(req.GetBefore(), req.GetEmpty())
	}
	for _, node := range req.GetNodes() {
		err = errors.Join(err, checkField("node", node))
	}
	if err == nil {
		err = s.drills.Drill(ctx, req, func(n *cachedv1.NodeDrill) error {
			return out.Send(&cachedv1.DrillZoneResponse{Node: n})
		})
	}
	return streamEnd(ctx, s.log, err)
}

// DrillZone has nodes seem empty, and calls tell with how each is doing every second,
// until all have ended or ctx ends, which ends the drill.
func (c *Client) DrillZone(ctx context.Context, req *cachedv1.DrillZoneRequest, tell func(*cachedv1.NodeDrill)) error {
	stream, err := c.admin.DrillZone(ctx, req)
	if err == nil {
		for stream.Receive() {
			tell(stream.Msg().GetNode())
		}
		err = stream.Err()
		_ = stream.Close()
	}
	return c.explain(ctx, "drill", err)
}

// A PeerDriller has this node take part in a drill for another one.
type PeerDriller interface {
	// DrillHere calls tell with how this node is doing, every second, until the drill is
	// over, tell fails or ctx ends. What tell was told last is the result.
	//
	// Errors: block.ErrOverloaded when it is in a drill.
	DrillHere(ctx context.Context, req *cachedv1.DrillNodeRequest, tell func(*cachedv1.NodeDrill) error) error
}

// DrillNode implements [cachedv1connect.PeerServiceHandler].
func (s *peerService) DrillNode(ctx context.Context, req *cachedv1.DrillNodeRequest, out *connect.ServerStream[cachedv1.DrillNodeResponse]) error {
	node, err := s.asker(ctx, req.GetZone(), req.GetNode())
	if err == nil && s.driller == nil {
		err = notFound("this node takes part in no drills")
	}
	if err == nil {
		err = checkDrill(req.GetBefore(), req.GetEmpty())
	}
	if err == nil {
		req.Node = node
		err = s.driller.DrillHere(ctx, req, func(n *cachedv1.NodeDrill) error {
			return out.Send(&cachedv1.DrillNodeResponse{Node: n})
		})
	}
	return streamEnd(ctx, s.log, err)
}

func checkDrill(before, empty *durationpb.Duration) error {
	if d := before.AsDuration(); d < 0 || d > MaxDrill {
		return invalid("drill: count for %v first: want at most %v", d, MaxDrill)
	}
	if d := empty.AsDuration(); d <= 0 || d > MaxDrill {
		return invalid("drill: seem empty for %v: want more than 0, at most %v", d, MaxDrill)
	}
	return nil
}

// Drill has the node take part in a drill, and calls tell with how it is doing until
// that is over. Errors: those of [Peers.Fetch].
func (n *Nodes) Drill(ctx context.Context, to placement.Member, req *cachedv1.DrillNodeRequest, tell func(*cachedv1.NodeDrill)) error {
	req.Zone, req.Node = n.options.Zone, n.options.Node
	return hear(ctx, n, to, "drill", func(ctx context.Context) (*connect.ServerStreamForClient[cachedv1.DrillNodeResponse], error) {
		return n.client(to).DrillNode(ctx, req)
	}, func(m *cachedv1.DrillNodeResponse) error {
		now := m.GetNode()
		if err := checkDrilled(now); err != nil {
			return fmt.Errorf("%w: %w", block.ErrUnavailable, err)
		}
		now.Node = to.Name
		tell(now)
		return nil
	})
}

// checkDrilled wants a state that can be and a problem that can be printed.
func checkDrilled(n *cachedv1.NodeDrill) error {
	if _, known := cachedv1.DrillState_name[int32(n.GetState())]; !known || n == nil {
		return errors.New("what it says it does makes no sense")
	}
	return checkField("problem", n.GetProblem())
}
