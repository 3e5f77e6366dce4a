package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// An index is Images in memory.
type index struct {
	mu        sync.Mutex
	names     map[string]block.ID
	manifests map[block.ID][]block.ID
	asked     map[string]int
	down      error
}

func newIndex() *index {
	return &index{names: map[string]block.ID{}, manifests: map[block.ID][]block.ID{}, asked: map[string]int{}}
}

// publish makes name point at a manifest of these blocks.
func (x *index) publish(name string, blocks ...block.ID) block.ID {
	x.mu.Lock()
	defer x.mu.Unlock()
	id := block.Sum([]byte(fmt.Sprint(blocks)))
	x.manifests[id], x.names[name] = blocks, id
	return id
}

func (x *index) ask(what string) error {
	x.asked[what]++
	return x.down
}

func (x *index) Manifest(_ context.Context, name string) (block.ID, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.ask("manifest"); err != nil {
		return block.ID{}, err
	}
	id, ok := x.names[name]
	if !ok {
		return id, fmt.Errorf("image %q: %w", name, block.ErrNotFound)
	}
	return id, nil
}

func (x *index) Names(context.Context) ([]Pointer, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.ask("names"); err != nil {
		return nil, err
	}
	var all []Pointer
	for n, id := range x.names {
		all = append(all, Pointer{n, id})
	}
	return all, nil
}

func (x *index) Blocks(_ context.Context, manifest block.ID) ([]block.ID, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.ask("blocks"); err != nil {
		return nil, err
	}
	ids, ok := x.manifests[manifest]
	if !ok {
		return nil, fmt.Errorf("manifest: %w", block.ErrNotFound)
	}
	return ids, nil
}

// A scene is a checker before a cache that holds every block.
type scene struct {
	*Checker
	index   *index
	cache   *blocktest.Fake
	policy  atomic.Pointer[Policy]
	now     time.Time
	refused int
}

func newScene(t testing.TB, policy *Policy, cached ...block.Block) *scene {
	t.Helper()
	s := &scene{index: newIndex(), now: time.Now()}
	var held []block.Block
	for _, b := range cached {
		held = append(held, b.Retain())
	}
	s.cache = blocktest.NewFake(block.Memory, held...)
	t.Cleanup(func() { s.cache.Close() })
	s.policy.Store(policy)
	var err error
	s.Checker, err = Check(s.cache, Options{
		Policy: s.policy.Load, Images: s.index, Now: func() time.Time { return s.now },
		Refused: func(block.Call, error) { s.refused++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read reads as the tenant and returns the error.
func (s *scene) read(tenant, image string, id block.ID) error {
	ctx := block.WithCall(context.Background(), block.Call{Tenant: tenant, Image: image})
	b, err := s.ReadBlock(ctx, id)
	if err == nil {
		b.Release()
	}
	return err
}

func (s *scene) want(t *testing.T, tenant, image string, id block.ID, want error) {
	t.Helper()
	if err := s.read(tenant, image, id); !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s reads %s of %s: %v, want %v", tenant, id.Short(), image, err, want)
	}
}

var twoTenants = []Tenant{{Name: "shop", Images: []string{"shop-*", "base"}}, {Name: "bank", Images: []string{"bank-*", "base"}}}

func TestOnlyTheImagesOfATenant(t *testing.T) {
	bs := blocktest.Blocks(t, 1, 4, 100)
	mine, theirs, shared, loose := bs[0], bs[1], bs[2], bs[3]
	s := newScene(t, newPolicy(t, twoTenants...), bs...)
	m1 := s.index.publish("shop-1", mine.ID(), shared.ID())
	m2 := s.index.publish("bank-1", theirs.ID(), shared.ID())

	s.want(t, "shop", "shop-1", mine.ID(), nil)
	s.want(t, "shop", "shop-1", shared.ID(), nil)
	s.want(t, "bank", "bank-1", shared.ID(), nil)
	s.want(t, "shop", m1.String(), mine.ID(), nil)
	before := s.cache.TotalReads()

	for _, c := range []struct{ tenant, image string }{
		{"shop", "bank-1"},
		{"shop", m2.String()},
		{"shop", "shop-1"},
		{"shop", m1.String()},
		{"nobody", "bank-1"},
		{"shop", ""},
		{"shop", "blake3:zz"},
		{"shop", (block.ID{}).String()},
		{"shop", block.Sum([]byte("no manifest")).String()},
		{"shop", "other"},
		{"shop", "shop-/../bank-1"},
	} {
		s.want(t, c.tenant, c.image, theirs.ID(), block.ErrDenied)
	}
	s.want(t, "shop", "shop-1", loose.ID(), block.ErrDenied)
	s.want(t, "shop", "shop-2", mine.ID(), block.ErrNotFound) // of its own names it may know
	s.want(t, "", "shop-1", mine.ID(), block.ErrUnauthenticated)
	if n := s.cache.TotalReads(); n != before {
		t.Errorf("the cache was asked %d times for what is denied", n-before)
	}
	if s.refused != 13 {
		t.Errorf("%d refusals told, want 13", s.refused)
	}
}

// TestDeniedIsTheSameCachedOrNot compares all that a denied tenant sees.
func TestDeniedIsTheSameCachedOrNot(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)[0]
	var texts [3]string
	for i := range texts {
		s := newScene(t, newPolicy(t, twoTenants...))
		switch i { // 0: the block exists nowhere
		case 1: // exists, not cached
			s.index.publish("bank-1", b.ID())
		case 2: // exists, and the other tenant has just read it
			s.index.publish("bank-1", b.ID())
			if err := s.cache.WriteBlock(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			s.want(t, "bank", "bank-1", b.ID(), nil)
		}
		s.index.publish("shop-1")
		reads := s.cache.TotalReads()
		for _, image := range []string{"shop-1", "bank-1"} {
			texts[i] += s.read("shop", image, b.ID()).Error() + "\n"
		}
		asked := s.index.asked["names"]
		texts[i] += fmt.Sprint(s.cache.TotalReads()-reads, asked)
	}
	if texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("they differ:\n%s", strings.Join(texts[:], "\n---\n"))
	}
}

func TestANameThatMoves(t *testing.T) {
	bs := blocktest.Blocks(t, 1, 3, 100)
	v1, v2, v3 := bs[0].ID(), bs[1].ID(), bs[2].ID()
	s := newScene(t, newPolicy(t, twoTenants...), bs...)
	m1 := s.index.publish("shop-1", v1)
	s.want(t, "shop", "shop-1", v1, nil)
	m2 := s.index.publish("shop-1", v2)
	s.want(t, "shop", "shop-1", v2, block.ErrDenied) // within the TTL
	s.now = s.now.Add(3 * time.Second)
	s.want(t, "shop", "shop-1", v2, nil)
	s.want(t, "shop", "shop-1", v1, nil) // who started before goes on
	s.want(t, "shop", m1.String(), v1, nil)
	s.want(t, "shop", m2.String(), v2, nil)

	for range 3 { // as long as it is read
		s.now = s.now.Add(20 * time.Hour)
		s.want(t, "shop", "shop-1", v1, nil)
	}
	s.now = s.now.Add(25 * time.Hour)
	s.want(t, "shop", "shop-1", v1, block.ErrDenied)
	s.want(t, "shop", m1.String(), v1, block.ErrDenied)
	s.want(t, "shop", "shop-1", v2, nil) // the name still points there
	s.index.publish("shop-1", v3)
	s.now = s.now.Add(3 * time.Second)
	s.want(t, "shop", "shop-1", v3, nil)
	s.want(t, "shop", "shop-1", v2, nil)
}

// A process that comes after goes on with what this one has learned.
func TestVersionsSurviveARestart(t *testing.T) {
	bs := blocktest.Blocks(t, 1, 2, 100)
	s := newScene(t, newPolicy(t, twoTenants...), bs...)
	var known []Pointer
	s.options.Learned = func(p Pointer) { known = append(known, p) }
	m1 := s.index.publish("shop-1", bs[0].ID())
	s.want(t, "shop", "shop-1", bs[0].ID(), nil)
	s.index.publish("shop-1", bs[1].ID())
	s.now = s.now.Add(3 * time.Second)
	s.want(t, "shop", "shop-1", bs[1].ID(), nil)
	s.want(t, "shop", "shop-1", bs[1].ID(), nil)
	if len(known) != 2 {
		t.Fatalf("learned %v, want 2", known)
	}
	options := s.options
	options.Known = known
	next, err := Check(s.cache, options)
	if err != nil {
		t.Fatal(err)
	}
	s.Checker = next
	s.want(t, "shop", "shop-1", bs[0].ID(), nil)
	s.want(t, "shop", m1.String(), bs[0].ID(), nil)
	s.want(t, "bank", m1.String(), bs[0].ID(), block.ErrDenied)
}

func TestAPolicyAppliesToTheNextRead(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)
	s := newScene(t, newPolicy(t, twoTenants...), b...)
	m := s.index.publish("shop-1", b[0].ID())
	s.want(t, "shop", "shop-1", b[0].ID(), nil)
	s.want(t, "shop", m.String(), b[0].ID(), nil)
	s.policy.Store(newPolicy(t, Tenant{Name: "shop", Images: []string{"base"}}))
	s.want(t, "shop", "shop-1", b[0].ID(), block.ErrDenied)
	s.want(t, "shop", m.String(), b[0].ID(), block.ErrDenied)
}

func TestOneManifestOfManyNames(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)
	s := newScene(t, newPolicy(t, Tenant{Name: "last", Images: []string{"img-0099"}}), b...)
	var m block.ID
	for i := range 100 {
		m = s.index.publish(fmt.Sprintf("img-%04d", i), b[0].ID())
	}
	s.want(t, "last", m.String(), b[0].ID(), nil)
	s.want(t, "other", m.String(), b[0].ID(), block.ErrDenied)
}

func TestAnIndexThatDoesNotAnswer(t *testing.T) {
	b := blocktest.Blocks(t, 1, 2, 100)
	s := newScene(t, newPolicy(t, twoTenants...), b...)
	m := s.index.publish("shop-1", b[0].ID())
	s.want(t, "shop", "shop-1", b[0].ID(), nil)
	s.index.down = fmt.Errorf("the origin is away: %w", block.ErrUnavailable)
	s.now = s.now.Add(time.Hour)
	s.want(t, "shop", "shop-1", b[0].ID(), nil) // what is known goes on
	s.want(t, "shop", m.String(), b[0].ID(), nil)
	s.want(t, "shop", "shop-1", b[1].ID(), block.ErrUnavailable) // and what is not is not claimed to be denied
	s.want(t, "shop", "shop-2", b[1].ID(), block.ErrUnavailable)
	s.want(t, "shop", "bank-1", b[1].ID(), block.ErrDenied)
}

func TestStrangersDoNotKeepTheIndexBusy(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)
	s := newScene(t, newPolicy(t, twoTenants...), b...)
	s.index.publish("shop-1", b[0].ID())
	for i := range uint64(100) {
		s.want(t, "shop", idOf(i).String(), b[0].ID(), block.ErrDenied)
		s.want(t, "shop", "shop-1", idOf(i), block.ErrDenied)
		s.want(t, "shop", fmt.Sprintf("bank-%d", i), b[0].ID(), block.ErrDenied)
	}
	for what, n := range s.index.asked {
		if n > 1 {
			t.Errorf("asked %d times for %s", n, what)
		}
	}
}

func TestImages(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)
	s := newScene(t, newPolicy(t, twoTenants...), b...)
	m := s.index.publish("bank-1", b[0].ID())
	as := func(tenant string) context.Context {
		return block.WithCall(t.Context(), block.Call{Tenant: tenant})
	}
	for _, image := range []string{"bank-1", m.String()} {
		if err := s.Image(as("bank"), image); err != nil {
			t.Errorf("%s: %v", image, err)
		}
		if err := s.Image(as("shop"), image); !errors.Is(err, block.ErrDenied) {
			t.Errorf("%s: %v", image, err)
		}
	}
	there, gone := s.Image(as("shop"), "bank-1").Error(), s.Image(as("shop"), "bank-2").Error()
	if strings.ReplaceAll(there, "bank-1", "bank-2") != gone {
		t.Errorf("an image that exists is told from one that does not: %q, %q", there, gone)
	}
	if err := s.Image(as(""), "bank-1"); !errors.Is(err, block.ErrUnauthenticated) {
		t.Error(err)
	}
	s.Seen(Pointer{"bank-9", block.Sum(nil)})
	if err := s.Image(as("bank"), block.Sum(nil).String()); err != nil {
		t.Errorf("a manifest just seen: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	b := blocktest.Blocks(t, 1, 8, 100)
	s := newScene(t, newPolicy(t, twoTenants...), b...)
	s.options.Refused = nil
	var wg sync.WaitGroup
	for i := range 8 {
		s.index.publish(fmt.Sprintf("shop-%d", i), b[i].ID())
		wg.Go(func() {
			for j := range 200 {
				k := (i + j) % 8
				s.want(t, "shop", fmt.Sprintf("shop-%d", i), b[i].ID(), nil)
				s.want(t, "bank", fmt.Sprintf("shop-%d", k), b[k].ID(), block.ErrDenied)
				s.Seen(Pointer{"bank-x", idOf(uint64(j))})
			}
		})
	}
	wg.Wait()
}
