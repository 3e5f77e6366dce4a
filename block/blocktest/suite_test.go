package blocktest

import (
	"testing"

	"github.com/zonecache/cached/block"
)

func TestMain(m *testing.M) { Main(m) }

func TestFakeIsAStore(t *testing.T) {
	TestStore(t, func(t *testing.T) Subject {
		f := NewFake(block.Disk)
		t.Cleanup(func() { f.Close() })
		return Subject{Store: f, Tier: block.Disk}
	})
}
