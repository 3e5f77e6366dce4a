package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/zonecache/cached/block"
)

// A Workload is what runs in an image. What its starts read is kept beside the
// blocks: a trace of each of the last starts, and a profile that points at the
// block they are merged into.
type Workload struct {
	Manifest block.ID
	Name     string // any text; may be empty
}

func (w Workload) String() string { return fmt.Sprintf("of %s %q", w.Manifest.Short(), w.Name) }

// digest stands for the workload's name in a key.
func (w Workload) digest() string {
	sum := block.Sum([]byte(w.Name))
	return sum.Hex()[:32]
}

func (w Workload) traces() string  { return "traces/" + w.Manifest.Hex() + "/" + w.digest() + "/" }
func (w Workload) profile() string { return profiles(w.Manifest) + w.digest() }

func (w Workload) pack() string { return "packs/" + w.Manifest.Hex() + "/" + w.digest() }

func profiles(manifest block.ID) string { return "profiles/" + manifest.Hex() + "/" }

// named is where the profile of the latest version of an image with a name is.
func (w Workload) named(name string) string { return "profiles/named/" + name + "/" + w.digest() }

// PutTrace stores a trace under a name that sorts by age and follows the rules of
// block.CheckName.
func (s *Single) PutTrace(ctx context.Context, w Workload, name string, p []byte) error {
	err := block.CheckName(name)
	if err == nil {
		err = s.medium.put(ctx, w.traces()+name, p, byName)
	}
	return s.wrap("write trace", w.String(), err)
}

// Traces returns the names of the workload's traces, in order.
func (s *Single) Traces(ctx context.Context, w Workload) ([]string, error) {
	entries, err := s.medium.list(ctx, w.traces())
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if block.CheckName(e.name) == nil {
			names = append(names, e.name)
		}
	}
	return names, s.wrap("list traces", w.String(), err)
}

// Trace returns a trace's bytes, as they are.
func (s *Single) Trace(ctx context.Context, w Workload, name string) ([]byte, error) {
	err := block.CheckName(name)
	var p []byte
	if err == nil {
		p, _, err = s.object(ctx, w.traces()+name, block.MaxSize)
	}
	return p, s.wrap("read trace", w.String(), err)
}

// DeleteTrace removes a trace; a missing one is no error.
func (s *Single) DeleteTrace(ctx context.Context, w Workload, name string) error {
	err := block.CheckName(name)
	if err == nil {
		err = s.medium.remove(ctx, w.traces()+name)
	}
	return s.wrap("delete trace", w.String(), err)
}

// Profile returns the block the workload's traces are merged into.
func (s *Single) Profile(ctx context.Context, w Workload) (block.ID, error) {
	ids, err := s.ids(ctx, w.profile(), 1)
	if err != nil {
		return block.ID{}, s.wrap("read profile", w.String(), err)
	}
	return ids[0], nil
}

// Profiles returns the blocks that the traces of an image's workloads are merged
// into.
func (s *Single) Profiles(ctx context.Context, manifest block.ID) ([]block.ID, error) {
	entries, err := s.medium.list(ctx, profiles(manifest))
	if err != nil {
		return nil, s.wrap("list profiles", "of "+manifest.Short(), err)
	}
	var all []block.ID
	for _, e := range entries {
		switch ids, err := s.ids(ctx, profiles(manifest)+e.name, 1); {
		case err == nil:
			all = append(all, ids[0])
		case errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt): // deleted meanwhile, or not one of ours
		default:
			return nil, s.wrap("list profiles", "of "+manifest.Short(), err)
		}
	}
	return all, nil
}

// PutProfile makes the workload's profile point at a block, which the caller has
// stored. So does each of the names, for versions of the image to come.
func (s *Single) PutProfile(ctx context.Context, w Workload, merged block.ID, names []string) error {
	err := s.medium.put(ctx, w.profile(), []byte(merged.String()+"\n"), byName)
	for _, name := range names {
		if err == nil {
			err = block.CheckName(name)
		}
		if err == nil {
			err = s.medium.put(ctx, w.named(name), []byte(w.Manifest.String()+"\n"+merged.String()+"\n"), byName)
		}
	}
	return s.wrap("write profile", w.String(), err)
}

// DeleteProfile removes the workload's profile and its pack; missing ones are no
// error.
func (s *Single) DeleteProfile(ctx context.Context, w Workload) error {
	err := s.medium.remove(ctx, w.profile())
	if err == nil {
		err = s.medium.remove(ctx, w.pack())
	}
	return s.wrap("delete profile", w.String(), err)
}

// NamedProfile returns which version of an image with this name was started last,
// and the block its traces are merged into.
func (s *Single) NamedProfile(ctx context.Context, name, workload string) (manifest, merged block.ID, err error) {
	w := Workload{Name: workload}
	if err = block.CheckName(name); err != nil {
		return manifest, merged, s.wrap("read profile", "", err)
	}
	ids, err := s.ids(ctx, w.named(name), 2)
	if err != nil {
		return manifest, merged, s.wrap("read profile", fmt.Sprintf("of %s %q", name, workload), err)
	}
	return ids[0], ids[1], nil
}

// Pack returns the block that says what the workload's pack consists of.
func (s *Single) Pack(ctx context.Context, w Workload) (block.ID, error) {
	ids, err := s.ids(ctx, w.pack(), 1)
	if err != nil {
		return block.ID{}, s.wrap("read pack", w.String(), err)
	}
	return ids[0], nil
}

// PutPack makes a block, which the caller has stored with all that it names, the
// workload's pack.
func (s *Single) PutPack(ctx context.Context, w Workload, id block.ID) error {
	return s.wrap("write pack", w.String(), s.medium.put(ctx, w.pack(), []byte(id.String()+"\n"), byName))
}

// ids reads an object that consists of so many ids, one a line.
func (s *Single) ids(ctx context.Context, key string, n int) ([]block.ID, error) {
	text, _, err := s.object(ctx, key, maxRef)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != n {
		return nil, fmt.Errorf("%w: %d lines, want %d", block.ErrCorrupt, len(lines), n)
	}
	ids := make([]block.ID, n)
	for i, line := range lines {
		if ids[i], err = block.ParseID(line); err != nil {
			return nil, fmt.Errorf("%w: %w", block.ErrCorrupt, err)
		}
	}
	return ids, nil
}
