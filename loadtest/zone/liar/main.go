// Command liar is a node of a zone that has a valid certificate and answers
// every peer with wrong bytes. It reads no origin and serves no agents.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/gossip"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "liar:", err)
		os.Exit(1)
	}
}

func run() error {
	zone := flag.String("zone", "", "`NAME` of the zone")
	node := flag.String("node", "", "`NAME` of this node, as in its certificate")
	listen := flag.String("peer-listen", "", "`ADDR` for peers")
	bind := flag.String("gossip", "", "`ADDR` of the gossip")
	seed := flag.String("seed", "", "gossip `ADDR` of a node to join")
	dir := flag.String("zone-tls", "", "`DIR` with the certificate")
	keys := flag.String("gossip-keys", "", "`FILE` with the keys of the gossip")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	src, err := identity.Load(*dir, identity.Options{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := api.NewPeerServer(api.PeerServices{Blocks: lies{}}, api.PeerServerOptions{
		Zone: *zone, TLS: src.PeerServer(*zone),
		Identify: func(s tls.ConnectionState) (string, error) { return identity.Node(s, *zone) },
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	members, err := gossip.Open(ctx, gossip.Options{
		Node: *node, Zone: *zone, Bind: *bind, PeerAddress: *listen, Weight: 100, Version: "liar",
		Seeds: []string{*seed}, KeyFile: *keys,
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	if err := members.Close(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(ctx) // who still listens to lies need not hear the end
	return <-served
}

// lies are wrong answers.
type lies struct{}

var _ api.PeerBlocks = lies{}

// AnswerPeer implements [api.PeerBlocks] with bytes that are not the block, mostly.
func (lies) AnswerPeer(_ context.Context, id block.ID, ask placement.Ask, _ func() error) (api.PeerAnswer, error) {
	if ask.Kind == placement.Offer {
		return api.PeerAnswer{Reply: placement.Reply{Verdict: placement.Gone}}, nil
	}
	size := 64<<10 + rand.IntN(192<<10)
	if ask.Offset > size {
		return api.PeerAnswer{}, block.ErrNotFound
	}
	buf := block.DefaultPool.Get(size)
	p := buf.Bytes()
	for i := range p {
		p[i] = byte(i * 7)
	}
	source := block.Arrived(buf.Seal(id, block.Memory))
	return api.PeerAnswer{
		Reply: placement.Reply{Verdict: placement.Serve}, From: block.Memory, Source: source,
		Done: func(int, error) { source.Leave() },
	}, nil
}
