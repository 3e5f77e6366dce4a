// Package sparse keeps whoever repeats himself from filling a log: of each kind of
// event one passes in a while, and the next to pass says how many did not.
package sparse

import (
	"log/slog"
	"sync"
	"time"
)

// DefaultGap is how much time lies between two events of a kind.
const DefaultGap = time.Second

// maxKeys bounds the kinds that are remembered: whoever makes up kinds gains one
// line each.
const maxKeys = 512

// A Gate lets one event of a kind pass in a while, each kind for itself, so that a
// flood of one does not hide the others. The zero value has the default gap. It is
// safe for concurrent use.
type Gate struct {
	Gap time.Duration // 0: DefaultGap; not to be changed once in use

	mu    sync.Mutex
	kinds map[string]kind
}

type kind struct {
	last   time.Time // when the latest passed
	missed int       // how many since then did not
}

// Pass reports whether an event of the kind may pass at now, and how many did not
// since the one before it.
func (g *Gate) Pass(of string, now time.Time) (missed int, ok bool) {
	gap := g.Gap
	if gap == 0 {
		gap = DefaultGap
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	k, known := g.kinds[of]
	if known && now.Sub(k.last) < gap {
		k.missed++
		g.kinds[of] = k
		return 0, false
	}
	if g.kinds == nil || !known && len(g.kinds) >= maxKeys {
		g.kinds = map[string]kind{}
	}
	g.kinds[of] = kind{last: now}
	return k.missed, true
}

// Warn logs a warning unless one with the same message was logged just now. The
// message, a constant, is the kind.
func (g *Gate) Warn(log *slog.Logger, message string, args ...any) {
	missed, ok := g.Pass(message, time.Now())
	if !ok {
		return
	}
	if missed > 0 {
		args = append(args, "not_logged", missed)
	}
	log.Warn(message, args...)
}
