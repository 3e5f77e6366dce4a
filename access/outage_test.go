package access

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// An earlier version whose list of blocks cannot be read just now may hold the
// block: that is an outage, and no denial.
func TestAnOutageIsNoDenialOfAnEarlierVersion(t *testing.T) {
	bs := blocktest.Blocks(t, 1, 2, 100)
	s := newScene(t, newPolicy(t, twoTenants...), bs...)
	s.index.publish("shop-1", bs[0].ID())
	s.want(t, "shop", "shop-1", bs[0].ID(), nil)
	s.index.publish("shop-1", bs[1].ID())
	s.now = s.now.Add(3 * time.Second)
	s.want(t, "shop", "shop-1", bs[1].ID(), nil)
	s.Checker.sets.lru.Purge() // as others' images push it out
	s.want(t, "shop", "shop-1", bs[1].ID(), nil)
	s.index.down = fmt.Errorf("the origin is away: %w", block.ErrUnavailable)
	s.want(t, "shop", "shop-1", bs[0].ID(), block.ErrUnavailable)
	s.index.down = fmt.Errorf("collected: %w", block.ErrNotFound)
	s.now = s.now.Add(3 * time.Second)
	if err := s.read("shop", "shop-1", bs[0].ID()); err == nil || errors.Is(err, block.ErrUnavailable) {
		t.Errorf("an earlier version that is gone: %v", err)
	}
}

// A tenant that makes up names under its pattern does not keep the index busy,
// and a name that comes into being is found soon.
func TestNamesThatDoNotExistDoNotKeepTheIndexBusy(t *testing.T) {
	b := blocktest.Blocks(t, 1, 1, 100)
	s := newScene(t, newPolicy(t, twoTenants...), b...)
	for range 100 {
		s.want(t, "shop", "shop-7", b[0].ID(), block.ErrNotFound)
	}
	if n := s.index.asked["manifest"]; n != 1 {
		t.Errorf("asked %d times for one name that does not exist", n)
	}
	s.index.publish("shop-7", b[0].ID())
	s.now = s.now.Add(DefaultTTL)
	s.want(t, "shop", "shop-7", b[0].ID(), nil)

	s.want(t, "shop", "shop-8", b[0].ID(), block.ErrNotFound)
	m := s.index.publish("shop-8", b[0].ID())
	s.Seen(Pointer{"shop-8", m}) // somebody has opened it
	s.want(t, "shop", "shop-8", b[0].ID(), nil)

	for i := range 2 * maxMissing {
		s.want(t, "shop", fmt.Sprintf("shop-x%d", i), b[0].ID(), block.ErrNotFound)
	}
	if n := s.history.missing.Len(); n > maxMissing {
		t.Errorf("%d names that do not exist are remembered, want at most %d", n, maxMissing)
	}
}
