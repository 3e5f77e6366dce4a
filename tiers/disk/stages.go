package disk

import (
	"sync"

	"github.com/zonecache/cached/tiers/disk/evict"
)

const (
	// stageSize is how many bytes reach the disk in one write.
	stageSize = 4 << 20
	// stageCount: each log fills one while two are being written, because a
	// disk that has nothing to do between two writes is half as fast.
	stageCount = 2 + int(evict.Logs)
)

// stages are the buffers between blocks and disk. Writing one goes on in the
// background until wait; how many there are bounds the writes in progress.
type stages struct {
	size int
	free chan []byte
	busy sync.WaitGroup

	mu  sync.Mutex
	err error // of the first write that failed since the last wait
}

func newStages(size int) *stages {
	s := &stages{size: size, free: make(chan []byte, stageCount)}
	for range stageCount {
		s.free <- nil // allocated when first needed: the main log may never be
	}
	return s
}

// get returns an empty stage, waiting for a write to finish if need be.
func (s *stages) get() []byte {
	p := <-s.free
	if p == nil {
		p = alignedBytes(s.size)
	}
	return p
}

func (s *stages) put(p []byte) { s.free <- p }

// write sends the first n bytes of a stage to f and frees the stage.
func (s *stages) write(f segmentFile, p []byte, n int, off int64) {
	s.busy.Go(func() {
		_, err := f.WriteAt(p[:n], off)
		s.put(p)
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.err == nil {
				s.err = err
			}
		}
	})
}

// wait returns when no write is in progress, with the first error since the
// last call.
func (s *stages) wait() error {
	s.busy.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}
