package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

// A Cold is how daemons are made cold before each round, and each burst.
type Cold string

// The ways.
const (
	Warm    Cold = ""      // not at all
	Purged  Cold = "purge" // they drop the images, but blocks that another image has
	Drilled Cold = "drill" // all they hold is hidden meanwhile, from everybody
)

// chill makes all daemons cold. The caller calls thaw when the part is over.
func (r *run) chill(ctx context.Context) (thaw func(), err error) {
	switch r.Cold {
	case Purged:
		return func() {}, r.purge(ctx)
	case Drilled:
		return r.drill(ctx)
	}
	return func() {}, nil
}

// purge has all daemons drop the images.
func (r *run) purge(ctx context.Context) error {
	for _, t := range r.Targets {
		for _, image := range r.Images {
			resp, err := t.Client.PurgeImage(ctx, &cachedv1.PurgeImageRequest{Image: image.Name})
			if err != nil {
				return fmt.Errorf("cold: %w", err)
			}
			if kept := resp.GetKept(); len(kept) > 0 {
				r.warmth(fmt.Sprintf("%s kept %d blocks of %s, which %s has too (a drill hides those)", t.Client.URL(), kept[0].GetBlocks(), image.Name, kept[0].GetImage()))
			}
		}
	}
	return nil
}

// warmth notes why something was not cold; the first reason is kept.
func (r *run) warmth(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notCold == "" {
		r.notCold = why
	}
}

// drill has all daemons hide what they hold, until thaw.
func (r *run) drill(ctx context.Context) (thaw func(), err error) {
	drill, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	thaw = func() {
		end()
		wg.Wait()
	}
	hidden := make(chan error, len(r.Targets))
	urls := map[string]bool{}
	for _, t := range r.Targets {
		if urls[t.Client.URL()] {
			continue // it is in a drill
		}
		urls[t.Client.URL()] = true
		wg.Go(func() {
			said := sync.OnceFunc(func() { hidden <- nil })
			problem := errors.New("it ended at once")
			err := t.Client.DrillZone(drill, &cachedv1.DrillZoneRequest{Empty: durationpb.New(api.MaxDrill)}, func(n *cachedv1.NodeDrill) {
				switch n.GetState() {
				case cachedv1.DrillState_DRILL_STATE_EMPTY:
					said()
				case cachedv1.DrillState_DRILL_STATE_FAILED:
					problem = errors.New(n.GetProblem())
				}
			})
			if err == nil {
				err = problem
			}
			if drill.Err() == nil {
				r.warmth(fmt.Sprintf("the drill of %s ended before its time: %v", t.Client.URL(), err))
			}
			select {
			case hidden <- err:
			default: // it was hidden for a while
			}
		})
	}
	for range urls {
		select {
		case err = <-hidden:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			thaw()
			return nil, fmt.Errorf("cold: %w", err)
		}
	}
	return thaw, nil
}
