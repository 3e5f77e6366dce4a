package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// testContract is what a folder and a bucket both must do. fresh returns the URL
// of an empty origin.
func testContract(t *testing.T, fresh func(t *testing.T) string) {
	blocktest.TestStore(t, func(t *testing.T) blocktest.Subject {
		return blocktest.Subject{Store: published{open(t, Options{}, fresh(t))}, Tier: block.Origin}
	})
	t.Run("a block is looked up by its length", func(t *testing.T) { testHasBlock(t, open(t, Options{}, fresh(t))) })
	t.Run("damage is replaced", func(t *testing.T) { testDamage(t, open(t, Options{}, fresh(t))) })
	t.Run("an empty block", func(t *testing.T) { testEmptyBlock(t, open(t, Options{}, fresh(t))) })
	t.Run("manifests", func(t *testing.T) { testManifests(t, open(t, Options{}, fresh(t))) })
	t.Run("refs", func(t *testing.T) { testRefs(t, open(t, Options{}, fresh(t))) })
	t.Run("what starts read", func(t *testing.T) { testStarts(t, open(t, Options{}, fresh(t))) })
	t.Run("an object too large is corrupt", func(t *testing.T) { testTooLarge(t, open(t, Options{}, fresh(t))) })
	t.Run("a dead context is its error", func(t *testing.T) { testDeadContext(t, open(t, Options{}, fresh(t))) })
}

func testHasBlock(t *testing.T, o *Origin) {
	ctx := context.Background()
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	if ok, err := o.HasBlock(ctx, b.ID(), 100_000); ok || err != nil {
		t.Fatalf("HasBlock before: %v, %v", ok, err)
	}
	mustPut(t, o, b)
	for size, want := range map[int64]bool{100_000: true, 99_999: false, 100_001: false, 1: false, 0: false} {
		if ok, err := o.HasBlock(ctx, b.ID(), size); ok != want || err != nil {
			t.Fatalf("HasBlock of %d bytes after: %v, %v", size, ok, err)
		}
	}
	mustPut(t, o, b)
	if err := o.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

// testDamage puts wrong bytes under a block's and a manifest's name, which the next
// put replaces.
func testDamage(t *testing.T, o *Origin) {
	ctx := context.Background()
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	flipped := slices.Clone(b.Bytes())
	flipped[50_000] ^= 1
	m := o.Origins()[0].medium
	for name, tt := range map[string]struct {
		stored []byte
		has    bool
	}{
		"cut short": {b.Bytes()[:60_000], false},
		"empty":     {nil, false},
		"longer":    {make([]byte, block.MaxSize+1), false},
		"flipped":   {flipped, true},
	} {
		if err := m.put(ctx, blockKey(b.ID()), tt.stored, byDigest); err != nil {
			t.Fatal(err)
		}
		if ok, err := o.HasBlock(ctx, b.ID(), 100_000); ok != tt.has || err != nil {
			t.Errorf("%s: HasBlock: %v, %v", name, ok, err)
		}
		if ok, err := o.VerifyBlock(ctx, b.ID()); ok || err != nil {
			t.Errorf("%s: VerifyBlock: %v, %v", name, ok, err)
		}
		mustPut(t, o, b)
		if ok, err := o.VerifyBlock(ctx, b.ID()); !ok || err != nil {
			t.Errorf("%s: VerifyBlock after it was put again: %v, %v", name, ok, err)
		}
		blocktest.CheckRead(t, o, b, block.Origin)
	}
	if ok, err := o.VerifyBlock(ctx, block.ID{1}); ok || err != nil {
		t.Errorf("VerifyBlock of a missing block: %v, %v", ok, err)
	}
	p := []byte("a manifest")
	if err := m.put(ctx, manifestKey(block.Sum(p)), p[:3], byDigest); err != nil {
		t.Fatal(err)
	}
	if err := o.PutManifest(ctx, block.Sum(p), p); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Manifest(ctx, block.Sum(p)); err != nil || !slices.Equal(got, p) {
		t.Errorf("manifest %q, %v", got, err)
	}
}

func testEmptyBlock(t *testing.T, o *Origin) {
	b := block.New(nil, block.Origin)
	defer b.Release()
	mustPut(t, o, b)
	if ok, err := o.HasBlock(context.Background(), b.ID(), 0); !ok || err != nil {
		t.Fatalf("HasBlock: %v, %v", ok, err)
	}
	blocktest.CheckRead(t, o, b, block.Origin)
}

func testManifests(t *testing.T, o *Origin) {
	ctx := context.Background()
	p := blocktest.Bytes(2, 3<<20) // larger than any block
	id := block.Sum(p)
	if _, err := o.Manifest(ctx, id); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("missing manifest: %v", err)
	}
	for range 2 {
		if err := o.PutManifest(ctx, id, p); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Manifest(ctx, id); err != nil || !slices.Equal(got, p) {
		t.Fatalf("manifest of %d bytes, %v", len(got), err)
	}
	if err := o.PutManifest(ctx, block.ID{1}, p); err == nil {
		t.Fatal("a manifest was stored under an id that is not its digest")
	}
	s := o.Origins()[0]
	if err := s.medium.put(ctx, manifestKey(block.ID{2}), []byte("something else"), byDigest); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Manifest(ctx, block.ID{2}); !errors.Is(err, block.ErrCorrupt) {
		t.Fatalf("manifest with other bytes: %v", err)
	}
}

func testRefs(t *testing.T, o *Origin) {
	ctx := context.Background()
	if refs, err := o.Refs(ctx); err != nil || len(refs) != 0 {
		t.Fatalf("refs of an empty origin: %v, %v", refs, err)
	}
	names := []string{"flask:v1", "flask:v2", "go@1.26", "z"}
	for i, name := range names {
		if err := o.PutRef(ctx, name, block.ID{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.PutRef(ctx, "z", block.ID{99}); err != nil {
		t.Fatalf("moving a ref: %v", err)
	}
	if r, err := o.Ref(ctx, "z"); err != nil || r.Manifest != (block.ID{99}) || r.Name != "z" || r.Updated.IsZero() {
		t.Fatalf("ref %+v, %v", r, err)
	}
	if err := o.Origins()[0].medium.put(ctx, refKey("bad"), []byte("no id"), byName); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Ref(ctx, "bad"); !errors.Is(err, block.ErrCorrupt) {
		t.Fatalf("ref without an id: %v", err)
	}
	refs, err := o.Refs(ctx)
	got := make([]string, len(refs))
	for i, r := range refs {
		got[i] = r.Name
	}
	if err != nil || !slices.Equal(got, names) {
		t.Fatalf("refs %v, %v", got, err)
	}
	if err := o.DeleteRef(ctx, "z"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Ref(ctx, "z"); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("deleted ref: %v", err)
	}
	if err := o.DeleteRef(ctx, "z"); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("deleting a missing ref: %v", err)
	}
	for _, name := range []string{"", "a/b", "..", "../refs/go", ".hidden", "a\x00b"} {
		_, err := o.Ref(ctx, name)
		for what, err := range map[string]error{
			"Ref": err, "PutRef": o.PutRef(ctx, name, block.ID{}), "DeleteRef": o.DeleteRef(ctx, name),
		} {
			if err == nil || isKind(err) {
				t.Errorf("%s(%q): %v, want an error about the name", what, name, err)
			}
		}
	}
}

func testTooLarge(t *testing.T, o *Origin) {
	id := block.ID{3}
	big := make([]byte, block.MaxSize+1)
	if err := o.Origins()[0].medium.put(context.Background(), blockKey(id), big, byDigest); err != nil {
		t.Fatal(err)
	}
	blocktest.CheckError(t, o, id, block.ErrCorrupt)
}

func testDeadContext(t *testing.T, o *Origin) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, read := o.ReadBlock(ctx, block.ID{})
	_, has := o.HasBlock(ctx, block.ID{}, 1)
	_, refs := o.Refs(ctx)
	for what, err := range map[string]error{"read": read, "has": has, "refs": refs, "check": o.Check(ctx)} {
		if !errors.Is(err, context.Canceled) || isKind(err) {
			t.Errorf("%s: %v, want context.Canceled alone", what, err)
		}
	}
}

// checkUnavailable wants every kind of read to say that the origin is not
// usable, and never that something does not exist.
func checkUnavailable(t *testing.T, o *Origin, says string) {
	t.Helper()
	ctx := context.Background()
	_, read := o.Origins()[0].ReadBlock(ctx, block.ID{1})
	_, has := o.HasBlock(ctx, block.ID{1}, 1)
	_, verified := o.VerifyBlock(ctx, block.ID{1})
	_, manifest := o.Origins()[0].Manifest(ctx, block.ID{1})
	_, ref := o.Origins()[0].Ref(ctx, "name")
	_, refs := o.Refs(ctx)
	for what, err := range map[string]error{
		"check": o.Check(ctx), "read": read, "has": has, "verify": verified, "manifest": manifest, "ref": ref, "refs": refs,
	} {
		if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrNotFound) {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
		checkSays(t, what, err, says)
	}
}

// checkFails is checkUnavailable for origins that take their time to fail.
func checkFails(t *testing.T, o *Origin, says string) {
	t.Helper()
	blocktest.CheckError(t, o, block.ID{}, block.ErrUnavailable)
	err := o.Check(context.Background())
	if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrNotFound) {
		t.Errorf("check: %v, want ErrUnavailable", err)
	}
	checkSays(t, "check", err, says)
}

func checkSays(t *testing.T, what string, err error, says string) {
	t.Helper()
	if !containsFold(fmt.Sprint(err), says) {
		t.Errorf("%s: %v, want it to say %q", what, err, says)
	}
	checkSecretless(t, what, err)
}
