package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/placement/gossip"
)

// printZone shows the ring as this node sees it.
func printZone(w io.Writer, z *cachedv1.ZoneStatus) {
	fmt.Fprintf(w, "zone\t%s, node %s, ring %s of %d nodes, distribution %s\n",
		z.GetName(), z.GetNode(), epochText(z.GetEpoch()), inRing(z), z.GetDistribution())
	for _, p := range z.GetPeers() {
		health := p.GetHealth()
		if p.GetProblem() != "" {
			health += ": " + p.GetProblem()
		}
		fmt.Fprintf(w, "peer\t%s  %s  owns %s  got %s, sent %s", p.GetName(), p.GetAddress(), percent(p.GetShare()),
			humanize.IBytes(p.GetReceived().GetBytes()), humanize.IBytes(p.GetSent().GetBytes()))
		if n := p.GetFailures(); n > 0 {
			fmt.Fprintf(w, ", %d reads failed", n)
		}
		if n := p.GetWrong(); n > 0 {
			fmt.Fprintf(w, ", %d BLOCKS WERE WRONG", n)
		}
		fmt.Fprintf(w, "\t%s\n", health)
	}
	for _, t := range z.GetTrees() {
		fmt.Fprintf(w, "tree\t%s  %s\n", t.GetImage(), treePlace(t))
	}
}

// treePlace is the part that the node has in a Function Tree.
func treePlace(t *cachedv1.TreeStatus) string {
	var parts []string
	switch {
	case t.GetJoined() && t.GetParent() == "":
		parts = append(parts, "this node is the root")
	case t.GetJoined():
		parts = append(parts, fmt.Sprintf("below %s, level %d", t.GetParent(), t.GetLevel()))
	}
	if n := t.GetNodes(); n > 0 {
		parts = append(parts, fmt.Sprintf("registrar of %d nodes", n))
	}
	return strings.Join(parts, "  ")
}

// epochText is how people compare two nodes' views of the ring.
func epochText(epoch uint64) string { return fmt.Sprintf("%016x", epoch) }

// inRing counts the nodes that own blocks, or could: not those that leave, or
// that this version cannot understand.
func inRing(z *cachedv1.ZoneStatus) int {
	n := 0
	for _, p := range z.GetPeers() {
		switch p.GetHealth() {
		case gossip.Leaving.String(), gossip.Unreadable.String():
		default:
			n++
		}
	}
	return n
}
