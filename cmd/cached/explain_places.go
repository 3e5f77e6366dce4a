package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/zonecache/cached/api/cachedv1"
)

// An explainedPlace is blocks that are in one place, or are not here for one reason.
type explainedPlace struct {
	State  string  `json:"state"`
	Owner  string  `json:"owner,omitempty"`
	Blocks uint64  `json:"blocks"`
	Bytes  uint64  `json:"bytes"`
	Share  float64 `json:"share"` // of the bytes that were looked for
	Why    string  `json:"why"`
}

// newPlaces lists where an image's blocks are, those on this host first.
func newPlaces(resp *cachedv1.ExplainImageResponse, image string) []explainedPlace {
	all := uint64(0)
	for _, p := range resp.GetPlaces() {
		all += p.GetCount().GetBytes()
	}
	rows := slices.Clone(resp.GetPlaces())
	slices.SortFunc(rows, func(a, b *cachedv1.BlockPlace) int {
		return cmp.Or(cmp.Compare(a.GetState(), b.GetState()), cmp.Compare(b.GetCount().GetBytes(), a.GetCount().GetBytes()), cmp.Compare(a.GetOwner(), b.GetOwner()))
	})
	places := []explainedPlace{}
	for _, p := range rows {
		places = append(places, explainedPlace{
			State: blockStateText(p.GetState()), Owner: p.GetOwner(), Blocks: p.GetCount().GetBlocks(), Bytes: p.GetCount().GetBytes(),
			Share: share(p.GetCount().GetBytes(), all), Why: whyThere(p, resp, image),
		})
	}
	return places
}

func blockStateText(s cachedv1.BlockState) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.String(), "BLOCK_STATE_")), "_", " ")
}

// whyThere says what the state of blocks comes from, and what follows.
func whyThere(p *cachedv1.BlockPlace, resp *cachedv1.ExplainImageResponse, image string) string {
	next := "the next read asks the object store"
	if p.GetOwner() != "" {
		next = fmt.Sprintf("the next read asks %s, which owns them", p.GetOwner())
	}
	switch p.GetState() {
	case cachedv1.BlockState_BLOCK_STATE_MEMORY:
		return "in l1"
	case cachedv1.BlockState_BLOCK_STATE_DISK:
		return "in l2"
	case cachedv1.BlockState_BLOCK_STATE_EVICTED:
		return fmt.Sprintf("l2 had them and made room for others: raise --l2-size, or `cached pin %s`; %s", image, next)
	case cachedv1.BlockState_BLOCK_STATE_NOT_ADMITTED:
		return fmt.Sprintf("never read here, or not kept: l2 keeps blocks of other owners by --l2-admit %s; %s", resp.GetAdmission(), next)
	case cachedv1.BlockState_BLOCK_STATE_NO_DISK:
		if resp.GetDiskProblem() != "" {
			return fmt.Sprintf("%s; %s", resp.GetDiskProblem(), next)
		}
		return "this host has no l2, and l1 holds what was read last; " + next
	}
	return "not read here since the daemon began, as far as it remembers; " + next
}
