package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/placement/residency"
	"github.com/zonecache/cached/prefetch"
)

// A blockSet is some blocks of an image.
type blockSet struct {
	sample []uint32 // at most maxLooked of them, by their indexes, evenly spread; nil: of all blocks
	blocks uint64
	bytes  uint64 // in stored form
}

// needs are what starts of an image are known to need. They do not change.
type needs struct {
	whole     blockSet
	starts    *blockSet // of any workload; nil: none was recorded
	workloads map[string]*blockSet
}

// maxNeeds is of how many workloads of an image is told.
const maxNeeds = 16

// A recordedWorkload is what starts of one workload need, in the order of its profile.
type recordedWorkload struct {
	name   string
	blocks []uint32
}

// recordedWorkloads returns what the recorded workloads of an image need. One whose
// profile is damaged counts as not recorded.
func recordedWorkloads(ctx context.Context, n *node, manifest block.ID) ([]recordedWorkload, error) {
	bundles, err := n.origin.Profiles(ctx, manifest)
	if err != nil {
		return nil, err
	}
	var all []recordedWorkload
	for _, id := range bundles {
		if n.library != nil {
			if p := n.library.Bundled(id); p != nil && p.Image == manifest {
				all = append(all, recordedWorkload{p.Workload, neededBy(p)})
				continue
			}
		}
		b, err := n.reader.ReadBlock(block.WithCall(ctx, block.Call{Cause: block.Repair}), id)
		if err != nil && (errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		traces, err := prefetch.DecodeBundle(b.Bytes())
		b.Release()
		if err != nil {
			continue
		}
		if profile, err := prefetch.Merge(traces); err == nil && profile.Image == manifest {
			all = append(all, recordedWorkload{profile.Workload, neededBy(profile)})
		}
	}
	return all, nil
}

// neededBy returns what starts of a workload need, in the order of its profile. Starts
// that name none may be of programs that have nothing in common: what half of them read
// can be next to nothing, so what any of the latest ones read counts.
func neededBy(p *prefetch.Profile) []uint32 {
	if p.Workload == "" {
		return p.Essential(0)
	}
	return p.Essential(prefetch.DefaultShare)
}

// findNeeds finds out what starts of an image need: what the origin has recorded,
// and for the given workloads, of an image with that name, what was learned of
// earlier versions or by this host alone.
func findNeeds(ctx context.Context, n *node, manifest block.ID, name string, workloads []string) (*needs, error) {
	e, err := n.catalog.Open(ctx, manifest.String())
	if err != nil {
		return nil, err
	}
	recorded, err := recordedWorkloads(ctx, n, manifest)
	if err != nil {
		return nil, err
	}
	found := map[string][]uint32{}
	for _, w := range recorded {
		found[w.name] = w.blocks
	}
	for _, w := range workloads {
		if _, ok := found[w]; ok || n.library == nil {
			continue
		}
		profile, err := n.library.Look(ctx, prefetch.Workload{Manifest: manifest, Name: w}, name)
		switch {
		case err == nil:
			found[w] = neededBy(profile)
		case !errors.Is(err, block.ErrNotFound):
			return nil, err
		}
	}
	return newNeeds(e.Manifest, found, workloads...), nil
}

// newNeeds makes needs of what each workload reads. Of too many workloads, those
// called first are kept.
func newNeeds(m *image.Manifest, found map[string][]uint32, first ...string) *needs {
	d := &needs{workloads: map[string]*blockSet{}}
	d.whole.blocks = uint64(len(m.Blocks))
	for _, b := range m.Blocks {
		d.whole.bytes += uint64(b.Stored)
	}
	starts := map[uint32]bool{}
	for _, w := range append(slices.Clone(first), slices.Sorted(maps.Keys(found))...) {
		set := newBlockSet(m, found[w])
		if set.blocks == 0 || d.workloads[w] != nil {
			continue
		}
		for _, i := range found[w] {
			starts[i] = true
		}
		if w != "" && len(d.workloads) < maxNeeds {
			d.workloads[w] = set
		}
	}
	if len(starts) > 0 {
		d.starts = newBlockSet(m, slices.Sorted(maps.Keys(starts)))
	}
	return d
}

func newBlockSet(m *image.Manifest, indexes []uint32) *blockSet {
	indexes = slices.DeleteFunc(slices.Clone(indexes), func(i uint32) bool { return int(i) >= len(m.Blocks) })
	s := &blockSet{blocks: uint64(len(indexes))}
	for _, i := range indexes {
		s.bytes += uint64(m.Blocks[i].Stored)
	}
	s.sample = spread(indexes, maxLooked)
	return s
}

// spread returns at most so many of the indexes, evenly.
func spread(indexes []uint32, most int) []uint32 {
	if len(indexes) <= most {
		return indexes
	}
	sample := make([]uint32, most)
	for i := range sample {
		sample[i] = indexes[i*len(indexes)/most]
	}
	return sample
}

// share returns how much of a set this host holds, by bytes. It looks at so many
// blocks at most.
func (n *node) share(m *image.Manifest, s *blockSet, most int) residency.Share {
	size := len(m.Blocks)
	if s.sample != nil {
		size = len(s.sample)
	}
	looked := min(size, most)
	var held, all uint64
	for i := range looked {
		k := i * size / looked
		if s.sample != nil {
			k = int(s.sample[k])
		}
		b := m.Blocks[k]
		if all += uint64(b.Stored); n.holds(b.ID) {
			held += uint64(b.Stored)
		}
	}
	return residency.ShareOf(held, all)
}
