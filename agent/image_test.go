package agent

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

func TestReadsAreTheImage(t *testing.T) {
	s := newStore(t, 40, 7001)
	img := openTest(t, Options{Daemon: startDaemon(t, s).client, Window: 60_000})
	if img.ID() != s.id || img.Size() != int64(len(s.bytes)) || img.Stale() {
		t.Errorf("%s has %d bytes", img, img.Size())
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			for range 200 {
				off := random.IntN(len(s.bytes))
				n := random.IntN(min(len(s.bytes)-off, 40_000)) + 1
				got := make([]byte, n)
				if _, err := img.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, s.bytes[off:off+n]) {
					t.Errorf("read %d bytes at %d: %v", n, off, err)
				}
			}
		})
	}
	wg.Wait()
	var all bytes.Buffer
	if n, err := img.CopyRange(t.Context(), &all, 0, img.Size()); err != nil || n != img.Size() || !bytes.Equal(all.Bytes(), s.bytes) {
		t.Errorf("copied %d bytes: %v", n, err)
	}
	if st := img.Stats(); st.Blocks[block.Origin] == 0 || st.Failed != 0 || st.AheadUsed > st.Ahead {
		t.Errorf("%+v", st)
	}
}

func TestReadsAtTheEnds(t *testing.T) {
	s := newStore(t, 3, 1000)
	img := openTest(t, Options{Daemon: startDaemon(t, s).client})
	p := make([]byte, 500)
	if n, err := img.ReadAt(p, 2700); n != 300 || !errors.Is(err, io.EOF) || !bytes.Equal(p[:n], s.bytes[2700:]) {
		t.Errorf("across the end: %d, %v", n, err)
	}
	if n, err := img.ReadAt(p, 3000); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
	var bad *image.RangeError
	if _, err := img.ReadAt(p, -1); !errors.As(err, &bad) {
		t.Errorf("before the beginning: %v", err)
	}
	if n, err := img.ReadAt(nil, 5); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
}

// A program that reads in order finds most blocks in the window, and each is read
// from the daemon once.
func TestReadAheadOfAProgram(t *testing.T) {
	s := newStore(t, 200, 4096)
	img := openTest(t, Options{Daemon: startDaemon(t, s).client})
	for off := 0; off < len(s.bytes); off += 1024 {
		check(t, img, s, off, 1024)
	}
	st := img.Stats()
	if n := s.reads.Load(); n != 200 {
		t.Errorf("%d reads of 200 blocks", n)
	}
	if st.AheadUsed < 190 {
		t.Errorf("of 200 blocks %d were fetched ahead, %d used", st.Ahead, st.AheadUsed)
	}
}

func TestOpenErrors(t *testing.T) {
	s := newStore(t, 1, 100)
	d := startDaemon(t, s)
	for name, want := range map[string]error{"other": block.ErrNotFound, "blake3:12": nil, "-": nil} {
		_, err := Open(t.Context(), Options{Image: name, Daemon: d.client})
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Options{Image: "img"}); err == nil {
		t.Error("opened without anybody to read from")
	}
	d.stop()
	if _, err := Open(t.Context(), Options{Image: "img", Daemon: d.client}); !errors.Is(err, block.ErrUnavailable) || api.Answered(err) {
		t.Errorf("without a daemon: %v", err)
	}
}
