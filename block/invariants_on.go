//go:build invariants

package block

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
)

// leakTrace remembers who sealed and who last released a buffer.
type leakTrace struct {
	mu     sync.Mutex
	born   string
	events []string
}

var live = struct {
	sync.Mutex
	m map[*header]struct{}
}{m: map[*header]struct{}{}}

func (t *leakTrace) sealed(h *header) {
	t.born = string(debug.Stack())
	live.Lock()
	live.m[h] = struct{}{}
	live.Unlock()
}

func (t *leakTrace) retained() { t.note("retained") }

func (t *leakTrace) released(h *header) {
	t.note("released")
	live.Lock()
	delete(live.m, h)
	live.Unlock()
}

func (t *leakTrace) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) < 64 {
		t.events = append(t.events, what+" at\n"+string(debug.Stack()))
	}
}

func (t *leakTrace) checkAlive(h *header) {
	if h.refs.Load() <= 0 {
		panic("block: " + h.id.String() + " used after its last release" + t.history())
	}
}

func (t *leakTrace) history() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return "\nsealed at\n" + t.born + strings.Join(t.events, "\n")
}

// Live returns the number of blocks not yet released.
func Live() int {
	live.Lock()
	defer live.Unlock()
	return len(live.m)
}

// LeakReport describes every live block and where it was sealed.
func LeakReport() string {
	live.Lock()
	defer live.Unlock()
	var s strings.Builder
	for h := range live.m {
		fmt.Fprintf(&s, "%s: %d references, sealed at\n%s\n", h.id, h.refs.Load(), h.trace.born)
	}
	return s.String()
}
