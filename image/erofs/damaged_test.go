package erofs

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/zonecache/cached/internal/imagetest"
)

// TestDamagedImages changes bytes of the metadata at random and reads everything:
// any outcome but a panic, an endless loop or a flood of memory will do.
func TestDamagedImages(t *testing.T) {
	whole, err := os.ReadFile(imagetest.Build(t, small()...))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		p := bytes.Clone(whole)
		for range 1 + r.IntN(8) {
			p[superOffset+r.IntN(len(p)-superOffset)] = byte(r.Uint32())
		}
		readAll(t, p)
	}
}

func FuzzImage(f *testing.F) {
	whole, err := os.ReadFile(imagetest.Build(f, small()...))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, p []byte) { readAll(t, p) })
}

func small() []imagetest.Item {
	return []imagetest.Item{
		imagetest.Dir("a").Xattrs(map[string]string{"user.a": "b", "user.c": ""}),
		imagetest.File("a/x", "1"), imagetest.Link("a/y", "a/x"), imagetest.Symlink("b", "a"),
		imagetest.File("c/d/e", "2"), imagetest.File("holes", string(make([]byte, 1<<20))+"end"),
	}
}

func readAll(t *testing.T, p []byte) {
	m, err := Open(t.Context(), Local(bytes.NewReader(p)), int64(len(p)))
	if err != nil {
		return
	}
	_ = walk(t, m, func(_ string, i Inode, _ []byte, _ map[string]string) {
		for _, off := range []int64{0, 4095, i.Size - 1} {
			_, _ = m.SeekData(t.Context(), i, off)
			_, _ = m.SeekHole(t.Context(), i, off)
		}
	})
}
