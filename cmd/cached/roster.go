package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/placement"
)

// A roster is the nodes that operators have do things by name.
type roster struct {
	node *node
	self string // the name of this one
}

// maxListed is how many names a message lists.
const maxListed = 20

// nodes finds the nodes that are meant.
func (r roster) nodes(names []string) ([]placement.Member, error) {
	if len(names) == 0 {
		return []placement.Member{{Name: r.self}}, nil
	}
	known := r.known()
	if len(names) == 1 && names[0] == api.AllNodes {
		return known, nil
	}
	var found []placement.Member
	var unknown []string
	for _, name := range names {
		i := slices.IndexFunc(known, func(m placement.Member) bool { return m.Name == name })
		switch {
		case i < 0:
			unknown = append(unknown, fmt.Sprintf("%q", name))
		case !slices.ContainsFunc(found, func(m placement.Member) bool { return m.Name == name }):
			found = append(found, known[i])
		}
	}
	if len(unknown) > 0 {
		all := make([]string, len(known))
		for i, m := range known {
			all[i] = m.Name
		}
		return nil, fmt.Errorf("%w: no node %s here: want some of %s, or %s", api.ErrInvalid, someOf(unknown), someOf(all), api.AllNodes)
	}
	return found, nil
}

// someOf lists names, but not all of very many.
func someOf(names []string) string {
	if n := len(names) - maxListed; n > 0 {
		names = append(slices.Clone(names[:maxListed]), fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// known returns the nodes this one knows by gossip, by name: those that died some
// time ago are not among them.
func (r roster) known() []placement.Member {
	known := []placement.Member{{Name: r.self}}
	if r.node.zone == nil || r.node.zone.members.Load() == nil {
		return known
	}
	for _, m := range r.node.zone.members.Load().Members() {
		if m.Name != r.self {
			known = append(known, m.Member)
		}
	}
	slices.SortFunc(known, func(a, b placement.Member) int { return strings.Compare(a.Name, b.Name) })
	return known
}

// fanOut runs one for each of the nodes, at most atOnce at a time, and tells what they
// report, one call at a time. When telling fails, the rest is told to end.
func fanOut[T any](
	ctx context.Context, nodes []placement.Member, atOnce int,
	one func(ctx context.Context, to placement.Member, report func(T)), tell func(T) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reports := make(chan T)
	var work sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, to := range nodes {
		work.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			one(ctx, to, func(what T) {
				select {
				case reports <- what:
				case <-ctx.Done():
				}
			})
		})
	}
	go func() { work.Wait(); close(reports) }()
	for what := range reports {
		if ctx.Err() != nil {
			continue
		}
		if err := tell(what); err != nil {
			cancel(err)
		}
	}
	return context.Cause(ctx)
}
