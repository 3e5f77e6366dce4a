package peer

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

func TestForgedRedirectsEnd(t *testing.T) {
	forged := map[string]func(a asking) string{
		"to nobody":        func(asking) string { return "nobody" },
		"to the empty one": func(asking) string { return "" },
		"to the asker":     func(a asking) string { return a.from },
		"to itself":        func(a asking) string { return a.to },
		"in a circle":      func(a asking) string { return map[string]string{"b": "c", "c": "d", "d": "b"}[a.to] },
	}
	for name, to := range forged {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "a", "b", "c", "d")
				b := z.block(1, 1000, "b", "c")
				z.fault = func(a asking) fault {
					return fault{reply: &placement.Reply{Verdict: placement.Redirect, To: to(a)}}
				}
				var log bytes.Buffer
				z.nodes["a"].tier.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
				z.nodes["a"].mustRead(b)
				if n := len(z.asked(b.ID())); n > maxAsks {
					t.Errorf("%d asks", n)
				}
				if n := z.nodes["a"].tier.Stats().Misled; n == 0 {
					t.Error("nothing was counted")
				}
				const line = `level=WARN msg="redirect leads nowhere" peer=`
				if n := strings.Count(log.String(), line); n != 1 { // the read takes less than a second
					t.Errorf("%d lines say so, want 1:\n%s", n, &log)
				}
			})
		})
	}
}

func TestGoneFromEverybodyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c", "d")
		b := z.block(1, 1000, "b", "c")
		z.fault = func(a asking) fault {
			return fault{reply: &placement.Reply{Verdict: placement.Gone, To: map[string]string{"b": "c", "c": "d", "d": "b"}[a.to]}}
		}
		z.nodes["a"].mustRead(b)
	})
}

// A node that names owners of its own invention costs no read a wait, and is blamed.
func TestAnInventedOwnerCostsNoWait(t *testing.T) {
	for _, tt := range []struct {
		name   string
		epoch  func(own uint64) uint64
		atMost time.Duration
		misled bool
	}{
		{"of the same ring", func(own uint64) uint64 { return own }, 0, true},
		{"of another ring", func(own uint64) uint64 { return own + 1 }, catchUpFor + catchUpEvery, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newZone(t, "a", "b", "c", "d")
				b := z.block(1, 1000, "b", "c")
				z.fault = func(a asking) fault {
					if a.from != "a" {
						return fault{}
					}
					return fault{reply: &placement.Reply{Verdict: placement.Gone, To: "nobody", Epoch: tt.epoch(a.Epoch)}}
				}
				began := time.Now()
				z.nodes["a"].mustRead(b)
				if took := time.Since(began); took > tt.atMost {
					t.Errorf("the read took %v, want at most %v", took, tt.atMost)
				}
				s := z.nodes["a"].tier.Stats()
				if (s.Misled > 0) != tt.misled || (s.EpochMismatches > 0) == tt.misled {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Both sides count that their rings differ.
func TestRingsThatDifferAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 1000, "b")
		z.nodes["a"].tier.opts.Ring = func() *placement.Ring {
			return ringOf(append(z.ring.Load().Members(), placement.Member{Name: "x", Weight: 100}))
		}
		z.nodes["a"].mustRead(b)
		for _, name := range []string{"a", "b"} {
			if n := z.nodes[name].tier.Stats().EpochMismatches; n != 1 {
				t.Errorf("%s counts %d, want 1", name, n)
			}
		}
	})
}

func TestEverybodyIsOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "a", "b", "c")
		b := z.block(1, 1000, "b", "c")
		started := time.Now()
		z.fault = func(asking) fault {
			if time.Since(started) > time.Second {
				return fault{}
			}
			return fault{refuse: block.ErrOverloaded}
		}
		z.nodes["a"].mustRead(b)
		if n, took := z.originReads(b), time.Since(started); n != 1 || took > 2*time.Second {
			t.Errorf("%d reads of the origin, after %v", n, took)
		}
	})
}
