package peer

import (
	"context"
	"slices"
	"sync"
)

// places are a few places and a line of those who wait for one, in the order
// they came.
type places struct {
	mu   sync.Mutex
	free int
	line []chan struct{}
}

// take takes a place if one is free.
func (p *places) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 {
		return false
	}
	p.free--
	return true
}

// enter takes a place, waiting for one in line. It returns w's error, or ctx's.
func (p *places) enter(ctx context.Context, w *waiting) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.line = append(p.line, turn)
	p.mu.Unlock()

	for {
		over, err := w.wait(ctx, turn, nil)
		if over {
			return nil
		}
		if err == nil {
			continue
		}
		p.mu.Lock()
		if i := slices.Index(p.line, turn); i >= 0 {
			p.line = slices.Delete(p.line, i, i+1)
			p.mu.Unlock()
			return err
		}
		p.mu.Unlock()
		p.exit() // our turn came at the same moment: pass it on
		return err
	}
}

// exit gives a place to the next in line.
func (p *places) exit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.line) == 0 {
		p.free++
		return
	}
	close(p.line[0])
	p.line[0] = nil
	p.line = p.line[1:]
}
