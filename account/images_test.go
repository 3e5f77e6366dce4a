package account

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestImagesOutOfUseAreSummedUp(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	l := New(Options{Images: 4})
	r := l.Requests(answer(b, block.Disk, nil))
	for i := range 20 {
		read(call("hot", block.Demand), r, b.ID())
		read(call(fmt.Sprint("once", i), block.Prefetch), r, b.ID())
	}
	s := balance(t, l)
	if len(s.Images) != 4 || s.Retired != 17 {
		t.Fatalf("%d books, %d retired", len(s.Images), s.Retired)
	}
	if got := s.Images[0]; got.Name != "hot" || got.Served.Demand.L2.Blocks != 20 {
		t.Fatalf("the image in use lost its book: %+v", got)
	}
	if got := s.Other.Total(); got != (Served{L2: Count{17, 170}}) {
		t.Fatalf("other: %+v", got)
	}
}

func TestImageNamesCannotFillTheMemory(t *testing.T) {
	b := blocktest.Block(1, 10)
	defer b.Release()
	l := New(Options{})
	read(call(strings.Repeat("x", 1<<20), block.Demand), l.Requests(answer(b, block.Disk, nil)), b.ID())
	s := balance(t, l)
	if len(s.Images) != 0 || s.Other.Served.Demand.L2.Blocks != 1 {
		t.Fatalf("%d books, other %+v", len(s.Images), s.Other.Served)
	}
}
