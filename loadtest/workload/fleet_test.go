package workload

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

// Three quarters of the images have less than 5 % of their bytes to themselves, as
// those of AWS Lambda.
func TestFleetIsLikeTheField(t *testing.T) {
	images, err := Fleet(FleetOptions{Images: 2000}, 1)
	if err != nil {
		t.Fatal(err)
	}
	users := map[int]int{}
	for _, i := range images {
		users[i.Base]++
	}
	alike := 0
	var sizes []int64
	for _, i := range images {
		own := i.Own
		if users[i.Base] == 1 {
			own = i.Size()
		}
		if float64(own) < 0.05*float64(i.Size()) {
			alike++
		}
		sizes = append(sizes, i.Size())
	}
	if share := float64(alike) / float64(len(images)); share < 0.72 || share > 0.78 {
		t.Errorf("%.3f of the images have less than 5 %% unique bytes, want 0.75", share)
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median < 200<<20 || median > 400<<20 {
		t.Errorf("median size of %d MiB", median>>20)
	}
	again, err := Fleet(FleetOptions{Images: 2000}, 1)
	if err != nil || !slices.Equal(images, again) {
		t.Error("the same seed gives another fleet")
	}
}

func TestFleetBytes(t *testing.T) {
	images, err := Fleet(FleetOptions{Images: 4, Bases: 1, Median: 256 << 10, Sigma: 0.1}, 7)
	if err != nil {
		t.Fatal(err)
	}
	read := func(i FleetImage) []byte {
		p, err := io.ReadAll(i.Reader())
		if err != nil || int64(len(p)) != i.Size() {
			t.Fatalf("%s: %d bytes of %d: %v", i.Name, len(p), i.Size(), err)
		}
		return p
	}
	a, b := read(images[0]), read(images[1])
	shared := images[0].Shared
	if !bytes.Equal(a[:shared], b[:shared]) {
		t.Error("images of one base do not share its bytes")
	}
	if n := min(len(a), len(b)); int64(n) > shared && bytes.Equal(a[shared:n], b[shared:n]) {
		t.Error("what is an image's own is another's")
	}
	if !bytes.Equal(a, read(images[0])) {
		t.Error("an image has other bytes the second time")
	}
}

func TestFleetRefuses(t *testing.T) {
	for _, o := range []FleetOptions{{}, {Images: 10, Median: 1}, {Images: 10, Sigma: -1}, {Images: 10, Alike: 2}, {Images: 10, Unique: 1}, {Images: 10, Bases: 11}} {
		if _, err := Fleet(o, 1); err == nil {
			t.Errorf("%+v is a fleet", o)
		}
	}
}
