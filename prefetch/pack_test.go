package prefetch_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/prefetch"
)

func TestPackCodec(t *testing.T) {
	want := &prefetch.Pack{Image: manifest, Parts: []prefetch.Part{
		{ID: block.Sum([]byte("1")), Blocks: []uint32{7, 3, 999}}, {ID: block.Sum([]byte("2")), Blocks: []uint32{0}},
	}}
	p, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := prefetch.DecodePack(p, 1000); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	twice := &prefetch.Pack{Image: manifest, Parts: []prefetch.Part{{ID: manifest, Blocks: []uint32{1, 1}}}}
	again, err := twice.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "something else": []byte("cachedtr........................................"), "truncated": p[:len(p)-1],
		"bytes behind": append(bytes.Clone(p), 0), "another version": flip(p, 8), "a block twice": again,
		"a million parts": append(bytes.Clone(p[:41]), 0xc0, 0x84, 0x3d),
	} {
		if got, err := prefetch.DecodePack(bad, 1000); !errors.Is(err, prefetch.ErrPack) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := prefetch.DecodePack(p, 999); !errors.Is(err, prefetch.ErrPack) {
		t.Errorf("of a smaller image: %+v, %v", got, err)
	}
}

func FuzzDecodePack(f *testing.F) {
	p, err := (&prefetch.Pack{Image: manifest, Parts: []prefetch.Part{{ID: manifest, Blocks: []uint32{7, 3}}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := prefetch.DecodePack(p, 100)
		if err != nil {
			if !errors.Is(err, prefetch.ErrPack) {
				t.Fatal(err)
			}
			return
		}
		for _, part := range got.Parts {
			for _, i := range part.Blocks {
				if i >= 100 {
					t.Fatalf("block %d", i)
				}
			}
		}
	})
}

func TestLay(t *testing.T) {
	var blocks []prefetch.Block
	for _, length := range []int{300_000, 200_000, 50_000, 1 << 20, 1} {
		blocks = append(blocks, prefetch.Block{Length: length})
	}
	got := prefetch.Lay([]uint32{4, 0, 1, 2, 3, 77}, blocks)
	if want := [][]uint32{{4, 0, 1}, {2}, {3}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMoved(t *testing.T) {
	blocks := make([]prefetch.Block, 20)
	for i := range blocks {
		blocks[i].Length = 10
	}
	pack := &prefetch.Pack{Parts: []prefetch.Part{{Blocks: []uint32{0, 1, 2, 3, 4}}, {Blocks: []uint32{5, 6, 7, 8, 9}}}}
	for _, tt := range []struct {
		order []uint32
		want  float64
	}{
		{upFrom(0, 10), 0}, {upFrom(5, 10), 0.5}, {upFrom(0, 20), 0.5}, {upFrom(0, 5), 0.5}, {upFrom(10, 10), 1}, {nil, 1},
	} {
		if got := pack.Moved(tt.order, blocks); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.order, got, tt.want)
		}
	}
}

// packed is a medium with an image of n blocks, and a pack of it in parts of four.
type packed struct {
	*medium
	image prefetch.Image
	pack  *prefetch.Pack
}

func newPacked(t *testing.T, n int) *packed {
	m, image := newMedium(t, n)
	p := &packed{medium: m, image: image, pack: &prefetch.Pack{Image: manifest}}
	for i := 0; i < n; i += 4 {
		var content []byte
		part := prefetch.Part{}
		for k := i; k < min(i+4, n); k++ {
			content = append(content, blocktest.Bytes(uint64(k), size)...)
			part.Blocks = append(part.Blocks, uint32(k))
		}
		b := block.New(content, block.Origin)
		part.ID = b.ID()
		if err := m.WriteBlock(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		b.Release()
		p.pack.Parts = append(p.pack.Parts, part)
	}
	return p
}

func (p *packed) open(t *testing.T, o prefetch.PacksOptions) *prefetch.Packs {
	o.Reader = p.medium
	packs := prefetch.NewPacks(o)
	t.Cleanup(func() { packs.Close() })
	return packs
}

// reads returns how often part i was read.
func (p *packed) partReads(i int) int { return p.Reads(p.pack.Parts[i].ID) }

func ahead(ctx context.Context) context.Context { return as(ctx, "app", "", block.Prefetch) }

func TestPacksReadEachPartOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 40)
		packs := p.open(t, prefetch.PacksOptions{Ahead: 1})
		if _, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[0].ID); !errors.Is(err, block.ErrNotFound) {
			t.Fatalf("before it is open: %v", err)
		}
		shut := packs.Open(p.pack, p.image.Blocks)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[i].ID, i)
			})
		}
		wg.Wait()
		settle()
		if p.partReads(0) != 1 || p.partReads(1) != 1 || p.partReads(2) != 1 || p.partReads(3) != 0 {
			t.Errorf("parts were read %d, %d, %d and %d times", p.partReads(0), p.partReads(1), p.partReads(2), p.partReads(3))
		}
		// One that waits takes what is here, and is not kept waiting for what is not.
		blocktestRead(t, packs, demand(t.Context()), p.image.Blocks[9].ID, 9)
		if _, err := packs.ReadBlock(demand(t.Context()), p.image.Blocks[20].ID); !errors.Is(err, block.ErrNotFound) || p.partReads(5) != 0 {
			t.Errorf("a demand for what is not here: %v", err)
		}
		shut()
		shut()
		if _, err := packs.ReadBlock(demand(t.Context()), p.image.Blocks[9].ID); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("when it is shut: %v", err)
		}
	})
}

// blocktestRead reads block i of a packed medium and checks its bytes.
func blocktestRead(t *testing.T, r block.Reader, ctx context.Context, id block.ID, i int) {
	t.Helper()
	b, err := r.ReadBlock(ctx, id)
	if err != nil {
		t.Errorf("block %d: %v", i, err)
		return
	}
	defer b.Release()
	if !bytes.Equal(b.Bytes(), blocktest.Bytes(uint64(i), size)) || b.ID() != id || b.From != block.Origin {
		t.Errorf("block %d has other bytes, or comes from %s", i, b.From)
	}
}

// A demand joins a part on its way.
func TestADemandJoinsAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 24)
		p.takes = time.Second
		packs := p.open(t, prefetch.PacksOptions{Ahead: 3})
		defer packs.Open(p.pack, p.image.Blocks)()
		go blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[0].ID, 0)
		pause(500 * time.Millisecond)
		began := time.Now()
		blocktestRead(t, packs, demand(t.Context()), p.image.Blocks[3].ID, 3)
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// Who gives up does not end it for the others.
		ctx, cancel := context.WithTimeout(ahead(t.Context()), time.Millisecond)
		defer cancel()
		if _, err := packs.ReadBlock(ctx, p.image.Blocks[20].ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after a millisecond: %v", err)
		}
		settle()
		blocktestRead(t, packs, demand(t.Context()), p.image.Blocks[21].ID, 21)
		if n := p.partReads(5); n != 1 {
			t.Errorf("the part was read %d times", n)
		}
	})
}

func TestPartsAreNotWorthItWhereTheirBlocksAreHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 8)
		held := map[block.ID]bool{}
		for _, i := range []int{0, 1, 4} {
			held[p.image.Blocks[i].ID] = true
		}
		packs := p.open(t, prefetch.PacksOptions{Held: func(id block.ID) bool { return held[id] }})
		defer packs.Open(p.pack, p.image.Blocks)()
		if _, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[2].ID); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("half of it is here: %v", err)
		}
		blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[5].ID, 5)
	})
}

// What a pack gets wrong is read one by one.
func TestAPackThatLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 12)
		slices.Reverse(p.pack.Parts[0].Blocks)
		p.Remove(p.pack.Parts[1].ID)
		p.pack.Parts[2].Blocks = append(p.pack.Parts[2].Blocks, 0)
		packs := p.open(t, prefetch.PacksOptions{Ahead: 1})
		defer packs.Open(p.pack, p.image.Blocks)()
		for _, i := range []int{0, 1, 4, 7} {
			if b, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[i].ID); !errors.Is(err, block.ErrNotFound) {
				t.Errorf("block %d: %v, %v", i, b, err)
			}
		}
		blocktestRead(t, packs, ahead(t.Context()), p.image.Blocks[9].ID, 9)
	})
}

// Parts that are in each other, or in themselves, would wait for each other.
func TestAPackInItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 8)
		p.pack.Parts[0].ID = p.image.Blocks[5].ID // which is in the second part
		p.pack.Parts[1].ID = p.image.Blocks[0].ID // which is in the first
		p.pack.Parts = append(p.pack.Parts, prefetch.Part{ID: p.image.Blocks[7].ID, Blocks: []uint32{7}})
		var packs *prefetch.Packs
		chain := block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
			if b, err := packs.ReadBlock(ctx, id); err == nil {
				return b, nil
			}
			return p.medium.ReadBlock(ctx, id)
		})
		packs = prefetch.NewPacks(prefetch.PacksOptions{Reader: chain})
		t.Cleanup(func() { packs.Close() })
		defer packs.Open(p.pack, p.image.Blocks)()
		began := time.Now()
		for i := range 8 {
			blocktestRead(t, chain, ahead(t.Context()), p.image.Blocks[i].ID, i)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestPartsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacked(t, 80)
		packs := p.open(t, prefetch.PacksOptions{Keep: 2, Ahead: 1})
		shut := packs.Open(p.pack, p.image.Blocks)
		other := packs.Open(p.pack, p.image.Blocks) // by another start
		for i := range 80 {
			b, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[i].ID)
			if err == nil {
				b.Release()
			} else if !errors.Is(err, block.ErrNotFound) {
				t.Error(err)
			}
		}
		shut()
		blocktestRead(t, packs, demand(t.Context()), p.image.Blocks[79].ID, 79)
		if _, err := packs.ReadBlock(ahead(t.Context()), p.image.Blocks[0].ID); !errors.Is(err, block.ErrNotFound) {
			t.Errorf("the first part is still here: %v", err)
		}
		other()
	})
}
