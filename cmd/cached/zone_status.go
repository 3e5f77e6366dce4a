package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/placement/gossip"
	"github.com/zonecache/cached/tiers/peer"
)

// status describes the zone as this node sees it: who is a member by gossip, and
// how reading from them went.
func (z *zone) status() *cachedv1.ZoneStatus {
	ring := z.ring.Load()
	s := &cachedv1.ZoneStatus{Name: z.cfg.Name, Node: z.cfg.Node, Epoch: ring.Epoch(), Distribution: z.cfg.Distribution}
	m := z.members.Load()
	if m == nil {
		return s
	}
	seen := map[string]peer.PeerHealth{}
	for _, h := range z.tier.Health() {
		seen[h.Node] = h
	}
	for _, member := range m.Members() {
		h := seen[member.Name]
		p := &cachedv1.PeerStatus{
			Name: member.Name, Address: member.Address, Version: member.Version, Weight: member.Weight, Share: ring.Share(member.Name),
			Received: &cachedv1.Count{Blocks: h.Received, Bytes: h.ReceivedBytes},
			Sent:     &cachedv1.Count{Blocks: h.Sent, Bytes: h.SentBytes},
			Failures: h.Failures, Wrong: h.Wrong, Stalled: h.Stalled,
		}
		p.Health, p.Problem = healthOf(member, h)
		s.Peers = append(s.Peers, p)
	}
	for _, t := range z.tier.Trees() {
		s.Trees = append(s.Trees, &cachedv1.TreeStatus{
			Image: t.Image, Joined: t.Joined, Parent: t.Seat.Parent, Level: uint32(t.Seat.Level), Nodes: uint32(t.Nodes),
		})
	}
	return s
}

// warnings returns what is wrong with the node's part in the zone.
func (z *zone) warnings() []string {
	warnings := z.certificateWarnings()
	if len(z.cfg.Seeds) > 0 && z.ring.Load().Len() == 1 {
		warnings = append(warnings, fmt.Sprintf("zone: this node is alone, no node of zone %s answered at %s: it reads the whole origin for itself (are the seeds' addresses and the gossip keys right?)",
			z.cfg.Name, strings.Join(z.cfg.Seeds, ", ")))
	}
	return warnings
}

func (z *zone) certificateWarnings() []string {
	if z.identity == nil {
		return []string{"zone: nodes speak in plain text and trust whoever reaches their ports (zone.insecure)"}
	}
	if err := z.identity.Check(); err != nil {
		return []string{fmt.Sprintf("zone: peers refuse this node's certificate: %v", err)}
	}
	if left, late := z.identity.Left(); late {
		return []string{fmt.Sprintf("zone: this node's certificate ends in %s and was not renewed yet", left.Round(time.Minute))}
	}
	return nil
}

// healthOf joins what gossip and reading say of a node.
func healthOf(member gossip.MemberStatus, h peer.PeerHealth) (health, problem string) {
	switch {
	case member.State != gossip.Alive:
		return member.State.String(), member.Reason
	case member.Self:
		return "self", ""
	case h.Node != "" && h.State != peer.Closed:
		return gossip.Suspect.String(), h.Reason
	}
	return member.State.String(), ""
}
