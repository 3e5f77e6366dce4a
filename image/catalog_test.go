package image

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
)

func TestCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := newStore()
		a, res := mustPublish(t, s, "a", bytesSource("one"))
		c, err := NewCatalog(s, CatalogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		open := func(name string) Entry {
			t.Helper()
			e, err := c.Open(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		// By name and by id, each asked of the index once.
		for range 3 {
			if e := open("a"); e.Manifest.Size != a.Size || e.Ref.Manifest != res.Manifest || e.Stale {
				t.Fatalf("%+v", e)
			}
			open(res.Manifest.String())
		}
		if s.count("get ref") != 1 || s.count("get manifest") != 1 {
			t.Errorf("%d refs and %d manifests read", s.count("get ref"), s.count("get manifest"))
		}
		// A missing name is not asked for again, until its time is up.
		for range 3 {
			if _, err := c.Open(ctx, "b"); !errors.Is(err, block.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if n := s.count("get ref"); n != 2 {
			t.Errorf("%d refs read", n)
		}
		mustPublish(t, s, "b", bytesSource("two"))
		mustPublish(t, s, "a", bytesSource("three"))
		time.Sleep(DefaultRefTTL) //nolint:forbidigo // the time of the synctest bubble
		if open("b").Manifest.Size != 3 || open("a").Manifest.Size != 5 {
			t.Error("moved refs are not seen")
		}
		// The index is gone: what is known is served, and said to be stale.
		s.fail = func(string, int) error { return fmt.Errorf("gone: %w", block.ErrUnavailable) }
		if open("a").Stale {
			t.Error("a fresh ref is stale")
		}
		time.Sleep(DefaultRefTTL) //nolint:forbidigo // the time of the synctest bubble
		if e := open("a"); !e.Stale || e.Manifest.Size != 5 {
			t.Errorf("%+v", e)
		}
		if _, err := c.Open(ctx, "never-seen"); !errors.Is(err, block.ErrUnavailable) {
			t.Error(err)
		}
		c.Forget("a")
		if _, err := c.Open(ctx, "a"); !errors.Is(err, block.ErrUnavailable) {
			t.Error(err)
		}
		if _, err := c.List(ctx); !errors.Is(err, block.ErrUnavailable) {
			t.Error(err)
		}
		for _, bad := range []string{"", "a/b", "blake3:12"} {
			if _, err := c.Open(ctx, bad); err == nil {
				t.Errorf("%q opened", bad)
			}
		}
	})
}

func TestCatalogRefusesWrongManifests(t *testing.T) {
	s := newStore()
	_, res := mustPublish(t, s, "a", bytesSource("one"))
	s.manifests[res.Manifest][3] ^= 1
	c, err := NewCatalog(s, CatalogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(context.Background(), "a"); !errors.Is(err, block.ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestManifestCacheKeepsItsBudget(t *testing.T) {
	c, err := newManifestCache(100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		c.add(block.ID{byte(i + 1)}, &Manifest{}, 40)
		c.add(block.ID{byte(i + 1)}, &Manifest{}, 40)
	}
	if c.bytes != 80 || c.lru.Len() != 2 {
		t.Errorf("%d bytes in %d manifests", c.bytes, c.lru.Len())
	}
	c.add(block.ID{99}, &Manifest{}, 1000)
	if _, ok := c.get(block.ID{99}); !ok || c.lru.Len() != 1 || c.bytes != 1000 {
		t.Errorf("%d bytes in %d manifests", c.bytes, c.lru.Len())
	}
}

func TestManyOpensReadTheManifestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		_, res := mustPublish(t, s, "a", bytesSource("one"))
		c, err := NewCatalog(s, CatalogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		s.fail = func(op string, _ int) error {
			if op == "get manifest" {
				<-gate
			}
			return nil
		}
		var wg sync.WaitGroup
		first, leave := context.WithCancel(t.Context())
		open := func(ctx context.Context, want error) {
			wg.Go(func() {
				if _, err := c.Open(ctx, res.Manifest.String()); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
			synctest.Wait()
		}
		open(first, context.Canceled)
		for range 15 {
			open(t.Context(), nil)
		}
		leave() // the first one's leaving fails nobody else
		synctest.Wait()
		close(gate)
		wg.Wait()
		if n := s.count("get manifest"); n != 1 {
			t.Errorf("the manifest was read %d times, want once", n)
		}
	})
}
