package images

import (
	"errors"
	"testing"
)

// Need returns an image, built where it is not there yet, for a test, which is skipped
// where this machine cannot build it.
func Need(t testing.TB, name string) Built {
	t.Helper()
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Build(t.Context(), dir, name, nil)
	if errors.Is(err, ErrUnable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}
