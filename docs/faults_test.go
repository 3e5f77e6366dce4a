package docs_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// fill takes all the room of a file system.
func fill(d *rehearsal, name string) {
	d.Helper()
	f, err := os.Create(name)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
}

// slowly lets each answer of the store take longer.
func slowly(pause time.Duration) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
		}
		return false
	}
}

// rot has a disk flip a bit in each page of the files in a directory, twice a second and
// each time another one, until it is stopped; it returns how many it has flipped.
func (s *site) rot(dir string) (stop func() int) {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	flipped := 0
	work.Go(func() {
		for pass := int64(0); ; pass++ {
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				s.Error(err)
			}
			for _, name := range files {
				flipped += damage(name, (2048+pass*8)%4096)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	stop = func() int { cancel(); work.Wait(); return flipped }
	s.Cleanup(func() { stop() })
	return stop
}

// damage flips a bit at a place in each page of a file, and returns how many. The file may
// go meanwhile.
func damage(name string, place int64) (flipped int) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	var b [1]byte
	for at := place; ; at += 4096 {
		if _, err := f.ReadAt(b[:], at); err != nil {
			return flipped
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], at); err != nil {
			return flipped
		}
		flipped++
	}
}
