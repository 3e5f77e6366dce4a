package zonetest

import (
	"context"
	"fmt"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/tiers/peer"
)

// Naive makes the nodes always ask a block's owner, who always serves: the star
// that the burst protocol is compared with, and a zone whose behaviour is known,
// for the tests of this package's own parts.
func (o Options) Naive() Options {
	o.join = func(_ *Zone, p peer.Options) l3 { return &naive{Options: p} }
	return o
}

type naive struct{ peer.Options }

func (n *naive) Owns(id block.ID) bool {
	owner, ok := n.Ring().Owner(id)
	return !ok || owner.Name == n.Node
}

func (n *naive) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	owner, _ := n.Ring().Owner(id)
	into := block.NewArrival(id, block.DefaultPool)
	defer into.Leave()
	reply, err := n.Transport.Fetch(ctx, owner, id, placement.Ask{}, into)
	switch {
	case err != nil:
		n.Options.Suspect(owner.Name, err.Error())
		return block.Block{}, err
	case reply.Verdict != placement.Serve:
		return block.Block{}, fmt.Errorf("naive: %s: %w", reply.Verdict, block.ErrUnavailable)
	}
	return into.Finish(block.Peer)
}

func (n *naive) Answer(ctx context.Context, id block.ID, _ placement.Ask, _ func() error) (peer.Answer, error) {
	if !n.Owns(id) {
		return peer.Answer{Reply: placement.Reply{Verdict: placement.Gone}}, nil
	}
	b, err := n.Local.ReadBlock(ctx, id)
	if err != nil {
		return peer.Answer{}, err
	}
	a := block.Arrived(b)
	return peer.Answer{From: b.From, Source: a, Done: func(int, error) { a.Leave() }}, nil
}

func (n *naive) SetLocal(local block.Reader) { n.Local = local }
func (n *naive) SetPull(block.Reader)        {}
func (n *naive) Admit(block.Block) bool      { return true }
func (n *naive) Suspect(string, string)      {}
func (n *naive) Returned(string)             {}
func (n *naive) Close() error                { return nil }

func (n *naive) Origin(next block.Reader) block.Reader { return next }

func (n *naive) Heirs() block.Reader {
	return block.ReaderFunc(func(context.Context, block.ID) (block.Block, error) {
		return block.Block{}, block.ErrNotFound
	})
}
