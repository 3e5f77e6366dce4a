package origin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/zonecache/cached/block"
)

// What is published goes to the first origin only; copying it to the others is
// the stores' own replication, or another publish.

// HasBlock is [Single.HasBlock] of the first origin.
func (o *Origin) HasBlock(ctx context.Context, id block.ID, size int64) (bool, error) {
	return o.singles[0].HasBlock(ctx, id, size)
}

// VerifyBlock is [Single.VerifyBlock] of the first origin.
func (o *Origin) VerifyBlock(ctx context.Context, id block.ID) (bool, error) {
	return o.singles[0].VerifyBlock(ctx, id)
}

// PutBlock is [Single.PutBlock] of the first origin.
func (o *Origin) PutBlock(ctx context.Context, b block.Block) error {
	return o.singles[0].PutBlock(ctx, b)
}

// PutManifest is [Single.PutManifest] of the first origin.
func (o *Origin) PutManifest(ctx context.Context, id block.ID, p []byte) error {
	return o.singles[0].PutManifest(ctx, id, p)
}

// PutRef is [Single.PutRef] of the first origin.
func (o *Origin) PutRef(ctx context.Context, name string, id block.ID) error {
	return o.singles[0].PutRef(ctx, name, id)
}

// DeleteRef is [Single.DeleteRef] of the first origin.
func (o *Origin) DeleteRef(ctx context.Context, name string) error {
	return o.singles[0].DeleteRef(ctx, name)
}

// Manifest returns the manifest from the first origin that has it right.
func (o *Origin) Manifest(ctx context.Context, id block.ID) ([]byte, error) {
	return firstAnswer(ctx, &o.failover, func(i int) ([]byte, error) {
		return o.singles[i].Manifest(ctx, id)
	})
}

// Ref returns what name points at, by the first origin that has it. A name that
// breaks the rules of block.CheckName is an error of its own.
func (o *Origin) Ref(ctx context.Context, name string) (Ref, error) {
	if err := block.CheckName(name); err != nil {
		return Ref{}, err
	}
	return firstAnswer(ctx, &o.failover, func(i int) (Ref, error) {
		return o.singles[i].Ref(ctx, name)
	})
}

// Refs returns the refs of all origins that answer, by name; where several have
// the same name, as the first of them says. It is an error only when none
// answers.
func (o *Origin) Refs(ctx context.Context) ([]Ref, error) {
	byName := map[string]Ref{}
	var errs []error
	for _, s := range o.singles {
		refs, err := s.Refs(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, r := range refs {
			if _, ok := byName[r.Name]; !ok {
				byName[r.Name] = r
			}
		}
	}
	if len(errs) == len(o.singles) {
		return nil, errors.Join(errs...)
	}
	for _, err := range errs {
		o.log.WarnContext(ctx, "refs of an origin left out of the list", "error", err)
	}
	all := make([]Ref, 0, len(byName))
	for _, r := range byName {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// What is learned about starts is kept in the first origin only, too.

// PutTrace is [Single.PutTrace] of the first origin.
func (o *Origin) PutTrace(ctx context.Context, w Workload, name string, p []byte) error {
	return o.singles[0].PutTrace(ctx, w, name, p)
}

// Traces is [Single.Traces] of the first origin.
func (o *Origin) Traces(ctx context.Context, w Workload) ([]string, error) {
	return o.singles[0].Traces(ctx, w)
}

// Trace is [Single.Trace] of the first origin.
func (o *Origin) Trace(ctx context.Context, w Workload, name string) ([]byte, error) {
	return o.singles[0].Trace(ctx, w, name)
}

// DeleteTrace is [Single.DeleteTrace] of the first origin.
func (o *Origin) DeleteTrace(ctx context.Context, w Workload, name string) error {
	return o.singles[0].DeleteTrace(ctx, w, name)
}

// PutProfile is [Single.PutProfile] of the first origin.
func (o *Origin) PutProfile(ctx context.Context, w Workload, merged block.ID, names []string) error {
	return o.singles[0].PutProfile(ctx, w, merged, names)
}

// DeleteProfile is [Single.DeleteProfile] of the first origin.
func (o *Origin) DeleteProfile(ctx context.Context, w Workload) error {
	return o.singles[0].DeleteProfile(ctx, w)
}

// PutPack is [Single.PutPack] of the first origin.
func (o *Origin) PutPack(ctx context.Context, w Workload, id block.ID) error {
	return o.singles[0].PutPack(ctx, w, id)
}

// Pack returns what the first origin that has a pack of the workload says.
func (o *Origin) Pack(ctx context.Context, w Workload) (block.ID, error) {
	return firstAnswer(ctx, &o.failover, func(i int) (block.ID, error) { return o.singles[i].Pack(ctx, w) })
}

// Profiles is [Single.Profiles] of the first origin.
func (o *Origin) Profiles(ctx context.Context, manifest block.ID) ([]block.ID, error) {
	return o.singles[0].Profiles(ctx, manifest)
}

// Profile returns what the first origin that has a profile of the workload says.
func (o *Origin) Profile(ctx context.Context, w Workload) (block.ID, error) {
	return firstAnswer(ctx, &o.failover, func(i int) (block.ID, error) { return o.singles[i].Profile(ctx, w) })
}

// NamedProfile returns what the first origin that has a profile by the name says.
func (o *Origin) NamedProfile(ctx context.Context, name, workload string) (manifest, merged block.ID, err error) {
	both, err := firstAnswer(ctx, &o.failover, func(i int) ([2]block.ID, error) {
		manifest, merged, err := o.singles[i].NamedProfile(ctx, name, workload)
		return [2]block.ID{manifest, merged}, err
	})
	return both[0], both[1], err
}
