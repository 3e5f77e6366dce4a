package origin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/zonecache/cached/block"
)

// MaxManifest is the most bytes a manifest may have.
const MaxManifest = 256 << 20

// maxRef is generous for the text of one id.
const maxRef = 1 << 10

// refReaders is how many refs are read at once to list them.
const refReaders = 8

// A Ref is a name that points at a manifest.
type Ref struct {
	Name     string
	Manifest block.ID
	Updated  time.Time // by the medium's clock
}

// Manifest returns the bytes of the manifest id, verified.
func (s *Single) Manifest(ctx context.Context, id block.ID) ([]byte, error) {
	p, _, err := s.object(ctx, manifestKey(id), MaxManifest)
	if err == nil && block.Sum(p) != id {
		err = fmt.Errorf("%w: its %d bytes have another digest", block.ErrCorrupt, len(p))
	}
	if err != nil {
		return nil, s.wrap("read manifest", id.String(), err)
	}
	return p, nil
}

// PutManifest stores a manifest, whose digest must be id, and replaces whatever
// has its name.
func (s *Single) PutManifest(ctx context.Context, id block.ID, p []byte) error {
	var err error
	switch {
	case block.Sum(p) != id:
		err = errors.New("the bytes have another digest")
	case len(p) > MaxManifest:
		err = fmt.Errorf("%d bytes: at most %d are allowed", len(p), MaxManifest)
	default:
		err = s.medium.put(ctx, manifestKey(id), p, byDigest)
	}
	return s.wrap("write manifest", id.String(), err)
}

// Ref returns what name points at.
func (s *Single) Ref(ctx context.Context, name string) (Ref, error) {
	if err := block.CheckName(name); err != nil {
		return Ref{}, s.wrap("read ref", "", err)
	}
	r, err := s.ref(ctx, name)
	return r, s.wrap("read ref", name, err)
}

func (s *Single) ref(ctx context.Context, name string) (Ref, error) {
	text, updated, err := s.object(ctx, refKey(name), maxRef)
	if err != nil {
		return Ref{}, err
	}
	id, err := block.ParseID(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return Ref{}, fmt.Errorf("%w: %w", block.ErrCorrupt, err)
	}
	return Ref{Name: name, Manifest: id, Updated: updated}, nil
}

// PutRef makes name point at the manifest id, at once for whoever reads it. The
// caller has stored the manifest and all its blocks before.
func (s *Single) PutRef(ctx context.Context, name string, id block.ID) error {
	if err := block.CheckName(name); err != nil {
		return s.wrap("write ref", "", err)
	}
	err := s.medium.put(ctx, refKey(name), []byte(id.String()+"\n"), byName)
	return s.wrap("write ref", name, err)
}

// DeleteRef removes name; it is ErrNotFound when there is no such name. Manifest
// and blocks stay.
func (s *Single) DeleteRef(ctx context.Context, name string) error {
	if err := block.CheckName(name); err != nil {
		return s.wrap("delete ref", "", err)
	}
	_, err := s.medium.length(ctx, refKey(name))
	if err == nil {
		err = s.medium.remove(ctx, refKey(name))
	}
	return s.wrap("delete ref", name, err)
}

// Refs returns every ref, by name. One that is unreadable as a ref is left out
// and logged, so that it does not hide the others.
func (s *Single) Refs(ctx context.Context) ([]Ref, error) {
	entries, err := s.medium.list(ctx, "refs/")
	if err != nil {
		return nil, s.wrap("list refs", "", err)
	}
	refs, errs := make([]Ref, len(entries)), make([]error, len(entries))
	var wg sync.WaitGroup
	slots := make(chan struct{}, refReaders)
	for i, e := range entries {
		if block.CheckName(e.name) != nil {
			continue // not one of ours
		}
		slots <- struct{}{}
		wg.Go(func() {
			refs[i], errs[i] = s.ref(ctx, e.name)
			<-slots
		})
	}
	wg.Wait()
	all := refs[:0]
	for i, r := range refs {
		switch err := errs[i]; {
		case errors.Is(err, block.ErrCorrupt):
			s.log.WarnContext(ctx, "ref left out of the list", "origin", s.name, "ref", entries[i].name, "error", err)
		case errors.Is(err, block.ErrNotFound): // deleted meanwhile
		case err != nil:
			return nil, s.wrap("read ref", entries[i].name, err)
		case r.Name != "":
			all = append(all, r)
		}
	}
	return all, nil
}

// object returns an object's bytes, as they are.
func (s *Single) object(ctx context.Context, key string, limit int64) (p []byte, modified time.Time, err error) {
	modified, err = s.medium.get(ctx, key, limit, func(n int) []byte {
		p = make([]byte, n)
		return p
	})
	return p, modified, err
}

func manifestKey(id block.ID) string { return "manifests/" + id.Hex() }

func refKey(name string) string { return "refs/" + name }
