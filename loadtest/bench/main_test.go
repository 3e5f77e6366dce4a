package bench

import (
	"testing"

	"github.com/zonecache/cached/block/blocktest"
)

func TestMain(m *testing.M) { blocktest.Main(m) }
