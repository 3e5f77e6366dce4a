package prefetch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zonecache/cached/block"
)

// A listener is told what programs ask for of the images it listens to. It must
// be quick.
type listener interface {
	touched(workload string, id block.ID)
}

// A watch tells listeners which blocks of their images programs ask for. While
// nobody listens it adds an atomic load to a read.
type watch struct {
	listeners atomic.Pointer[map[string][]listener] // by name of the image; nil: nobody listens
	mu        sync.Mutex                            // of who changes it
}

// reader returns next, watched.
func (w *watch) reader(next block.Reader) block.Reader {
	return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		if names := w.listeners.Load(); names != nil {
			if call := block.CallFrom(ctx); call.Cause == block.Demand {
				for _, l := range (*names)[call.Image] {
					l.touched(call.Workload, id)
				}
			}
		}
		return next.ReadBlock(ctx, id)
	})
}

func (w *watch) add(l listener, names []string) {
	w.change(func(all map[string][]listener) {
		for _, name := range names {
			all[name] = append(slices.Clip(all[name]), l)
		}
	})
}

func (w *watch) remove(l listener, names []string) {
	w.change(func(all map[string][]listener) {
		for _, name := range names {
			rest := slices.DeleteFunc(slices.Clone(all[name]), func(other listener) bool { return other == l })
			if all[name] = rest; len(rest) == 0 {
				delete(all, name)
			}
		}
	})
}

// change swaps the listeners for what edit makes of a copy of them.
func (w *watch) change(edit func(map[string][]listener)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string][]listener{}
	if old := w.listeners.Load(); old != nil {
		for name, l := range *old {
			all[name] = l
		}
	}
	edit(all)
	if len(all) == 0 {
		w.listeners.Store(nil)
		return
	}
	w.listeners.Store(&all)
}
