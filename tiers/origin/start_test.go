package origin

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/zonecache/cached/block"
)

func testStarts(t *testing.T, o *Origin) {
	ctx := context.Background()
	w := Workload{Manifest: block.Sum([]byte("m")), Name: "python3 /app/serve.py --port=80"}
	merged, later := block.Sum([]byte("1")), block.Sum([]byte("2"))
	if names, err := o.Traces(ctx, w); err != nil || len(names) != 0 {
		t.Fatalf("traces of nothing: %v, %v", names, err)
	}
	if _, err := o.Profile(ctx, w); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("a profile of nothing: %v", err)
	}
	if _, _, err := o.NamedProfile(ctx, "app:v2", w.Name); !errors.Is(err, block.ErrNotFound) {
		t.Fatalf("a named profile of nothing: %v", err)
	}
	put := func(w Workload, name, text string) {
		t.Helper()
		if err := o.PutTrace(ctx, w, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put(w, "0002-b", "two")
	put(w, "0001-a", "one")
	put(Workload{Manifest: w.Manifest}, "0003-c", "of no name")
	if names, err := o.Traces(ctx, w); err != nil || !slices.Equal(names, []string{"0001-a", "0002-b"}) {
		t.Fatalf("%v, %v", names, err)
	}
	if p, err := o.Trace(ctx, w, "0001-a"); err != nil || string(p) != "one" {
		t.Fatalf("%q, %v", p, err)
	}
	for range 2 {
		if err := o.DeleteTrace(ctx, w, "0001-a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Trace(ctx, w, "0001-a"); !errors.Is(err, block.ErrNotFound) {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "../../refs/app", "a/b"} {
		if err := o.PutTrace(ctx, w, bad, nil); err == nil {
			t.Errorf("a trace called %q", bad)
		}
	}

	for _, id := range []block.ID{merged, later} {
		if err := o.PutProfile(ctx, w, id, []string{"app:v1", "app:latest"}); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := o.Profile(ctx, w); err != nil || id != later {
		t.Fatalf("%s, %v", id, err)
	}
	if manifest, id, err := o.NamedProfile(ctx, "app:latest", w.Name); err != nil || manifest != w.Manifest || id != later {
		t.Fatalf("%s, %s, %v", manifest, id, err)
	}
	if ids, err := o.Profiles(ctx, w.Manifest); err != nil || !slices.Equal(ids, []block.ID{later}) {
		t.Fatalf("%v, %v", ids, err)
	}
	m := o.Origins()[0].medium
	if err := m.put(ctx, w.profile(), []byte("no id\n"), byName); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Profile(ctx, w); !errors.Is(err, block.ErrCorrupt) {
		t.Fatal(err)
	}
	if _, err := o.Pack(ctx, w); !errors.Is(err, block.ErrNotFound) {
		t.Fatal(err)
	}
	if err := o.PutPack(ctx, w, merged); err != nil {
		t.Fatal(err)
	}
	if id, err := o.Pack(ctx, w); err != nil || id != merged {
		t.Fatalf("%s, %v", id, err)
	}
	if err := o.DeleteProfile(ctx, w); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Pack(ctx, w); !errors.Is(err, block.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := o.Profile(ctx, w); !errors.Is(err, block.ErrNotFound) {
		t.Fatal(err)
	}
}
