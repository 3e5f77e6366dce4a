package host

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/images"
)

// TestProveHostDedup measures what a second version brings to an origin that holds
// the first, and what other images bring beyond the files that are new.
func TestProveHostDedup(t *testing.T) {
	full(t)
	measureDedup(t, newLab(t, forgetful, imageNames()...))
}

func measureDedup(t *testing.T, l *lab) {
	list := map[string]blockList{}
	for _, img := range l.images {
		second := images.Need(t, img.Name+":v2")
		l.publish(t, second)
		list[img.Name] = l.blocksOf(t, img.Ref())
		v2 := l.blocksOf(t, second.Ref())
		fresh := v2.without(list[img.Name])
		figure.Report(t, "host.dedup."+img.Name+".v2_new_percent", 100*float64(fresh.stored())/float64(v2.stored()), "%")
		figure.Report(t, "host.dedup."+img.Name+".v2_new_mb", float64(fresh.stored())/1e6, "MB")
		if !figure.Full() && (len(fresh) == 0 || len(fresh) == len(v2)) {
			t.Errorf("%s: %d of %d blocks are new", second.Ref(), len(fresh), len(v2))
		}
	}
	l.across(t, list)
}

// across measures what images bring to an origin that holds the first of them.
func (l *lab) across(t *testing.T, list map[string]blockList) {
	held, files := blockList{}, map[[sha256.Size]byte]int64{}
	var fresh, optimum int64
	for i, name := range pick([]string{"flask", "pyml", "node", "torch"}, []string{"tiny"}) {
		if list[name] == nil {
			t.Skipf("%s is not among the images", name)
		}
		blocks, padded := list[name].without(held).raw(), int64(0)
		for sum, size := range l.filesOf(t, name+":v1") {
			if _, known := files[sum]; !known {
				files[sum] = size
				padded += (size + 4095) &^ 4095
			}
		}
		maps.Copy(held, list[name])
		t.Logf("%s brings %.1f MB in blocks, %.1f MB in files", name, float64(blocks)/1e6, float64(padded)/1e6)
		if i > 0 || !figure.Full() {
			fresh, optimum = fresh+blocks, optimum+padded
		}
	}
	figure.Report(t, "host.dedup.across_by_files", float64(fresh)/float64(optimum), "x")
}

// A blockList is the distinct blocks of an image.
type blockList map[string]shownBlock

type shownBlock struct {
	ID     string `json:"id"`
	Stored int64  `json:"stored_length"`
	Length int64  `json:"length"`
}

func (l *lab) blocksOf(t *testing.T, image string) blockList {
	t.Helper()
	blocks := blockList{}
	for _, b := range l.inOrder(t, image) {
		blocks[b.ID] = b
	}
	return blocks
}

func (b blockList) without(others blockList) blockList {
	rest := maps.Clone(b)
	maps.DeleteFunc(rest, func(id string, _ shownBlock) bool { _, ok := others[id]; return ok })
	return rest
}

func (b blockList) stored() (sum int64) {
	for _, x := range b {
		sum += x.Stored
	}
	return sum
}

func (b blockList) raw() (sum int64) {
	for _, x := range b {
		sum += x.Length
	}
	return sum
}

// filesOf returns the sizes of an image's regular files by their content.
func (l *lab) filesOf(t *testing.T, image string) map[[sha256.Size]byte]int64 {
	t.Helper()
	m := l.mount(t, l.first, image, l.room(t, "files"))
	defer l.umount(t, m)
	sizes := map[[sha256.Size]byte]int64{}
	err := filepath.WalkDir(m.Dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		sum, size, err := digest(name)
		sizes[sum] = size
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

func digest(name string) (sum [sha256.Size]byte, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	h.Sum(sum[:0])
	return sum, size, err
}
