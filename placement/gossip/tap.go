package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// A tap is where memberlist's log ends: lines that mean something for this zone
// are counted and said in our words, at most one of a kind every 10 seconds; the
// rest is for debugging.
type tap struct{ m *Membership }

// kinds are the lines that are ours to explain, by a part of their text.
var kinds = [...]struct {
	part, say string
	count     func(*counts)
}{
	{"with unacceptable label", "gossip: message of another zone refused", func(c *counts) { c.foreignZone.Add(1) }},
	{"no installed keys could decrypt", strangersKey, func(c *counts) { c.undecryptable.Add(1) }},
	{"Decrypt packet failed", strangersKey, func(c *counts) { c.undecryptable.Add(1) }},
	{"remote state is encrypted and", strangersKey, func(c *counts) { c.undecryptable.Add(1) }},
	{"remote state is not encrypted", strangersKey, func(c *counts) { c.undecryptable.Add(1) }},
	{"failed to join", "", nil}, // the seeker reports it
	{"Conflicting address", "", nil},
	{"ignoring alive message", "", nil}, // the delegates report these
}

const strangersKey = "gossip: message with another key refused: is another cluster on this network, or is a key file outdated?"

// line takes one line of memberlist's: "[LEVEL] memberlist: text".
func (t tap) line(line string) {
	if t.m.ctx.Err() != nil {
		return // what ends now may fail
	}
	level, text := slog.LevelDebug, line
	if tag, rest, ok := strings.Cut(text, "] "); ok {
		if tag == "[ERR" || tag == "[ERROR" {
			level = slog.LevelWarn
		}
		text = strings.TrimPrefix(rest, "memberlist: ")
	}
	if strings.Contains(text, t.m.twin) {
		t.m.counts.undecryptable.Add(1)
		t.m.say(slog.LevelWarn, t.m.twin, "gossip: message refused: of this node and another one of this zone, only one has a key file", "said", text)
		return
	}
	for _, kind := range kinds {
		if !strings.Contains(line, kind.part) {
			continue
		}
		if kind.count != nil {
			kind.count(&t.m.counts)
		}
		if kind.say != "" {
			t.m.say(slog.LevelWarn, kind.say, kind.say, "said", text)
		}
		return
	}
	if level == slog.LevelDebug && !t.m.opt.Logger.Enabled(context.Background(), level) {
		return
	}
	t.m.say(level, firstWords(text), "gossip: memberlist", "said", text)
}

// A lineWriter gives lines of a log.Logger to a tap: memberlist takes no other kind.
type lineWriter struct{ tap tap }

// Write takes a line that begins with a date.
func (w lineWriter) Write(b []byte) (int, error) {
	line := string(b)
	if i := strings.IndexByte(line, '['); i > 0 {
		line = line[i:]
	}
	w.tap.line(strings.TrimSpace(line))
	return len(b), nil
}

// firstWords tells kinds of lines apart, whatever names and addresses follow.
func firstWords(s string) string {
	end := 0
	for range 3 {
		i := strings.IndexByte(s[end:], ' ')
		if i < 0 {
			return s
		}
		end += i + 1
	}
	return s[:end]
}

// quiet lies between two log lines of one key.
const quiet = 10 * time.Second

// say logs a line soon, at most one of a key in a while. It never waits: it may be
// called with memberlist's locks held.
func (m *Membership) say(level slog.Level, key, text string, args ...any) {
	missed, ok := m.lines.Pass(key, time.Now())
	if !ok {
		return
	}
	if missed > 0 {
		args = append(args, "more", fmt.Sprintf("%d not shown", missed))
	}
	m.later(func() { m.opt.Logger.Log(context.Background(), level, text, args...) })
}

// later has the run loop call f, or drops it when too much waits already.
func (m *Membership) later(f func()) {
	select {
	case m.jobs <- f:
	default:
		m.counts.logsDropped.Add(1)
	}
}
