package gossip

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestNoticeReachesAllAndRemovesNobody(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	heard := map[string][]string{}
	all := zone(t, 5, func(i int, o *Options) {
		o.OnDeath = func(name, reason string) {
			mu.Lock()
			defer mu.Unlock()
			heard[fmt.Sprintf("n%d", i)] = append(heard[fmt.Sprintf("n%d", i)], name+": "+reason)
		}
	})
	for range 10 {
		all[1].NoteDeath("n4", "connection refused")
		all[1].NoteDeath("nobody", "was never there")
		all[1].NoteDeath("n1", "is not dead, it says")
	}
	eventually(t, func() string {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"n0", "n2", "n3"} {
			if len(heard[name]) != 1 || heard[name][0] != "n4: found dead by n1: connection refused" {
				return fmt.Sprintf("%s heard %q", name, heard[name])
			}
		}
		return ""
	})
	if s := all[1].Stats(); s.NoticesSent != 1 || s.NoticesKept < 29 {
		t.Errorf("%+v", s)
	}
	// The one that is said to be dead is probed and answers.
	eventually(t, func() string {
		for _, m := range all {
			for _, s := range m.Members() {
				if s.State != Alive {
					return fmt.Sprintf("%s takes %s for %v: %s", m.opt.Node, s.Name, s.State, s.Reason)
				}
			}
		}
		return ""
	})
	for _, m := range all {
		if m.Ring().Len() != 5 || m.Stats().Deaths != 0 {
			t.Errorf("%s has [%s], %+v", m.opt.Node, members(m), m.Stats())
		}
	}
}

func TestGateBoundsNotices(t *testing.T) {
	var g gate
	now := time.Now()
	passed := 0
	for i := range 1000 {
		if g.pass(fmt.Sprintf("n%d", i), now) {
			passed++
		}
	}
	if passed != noticeRate {
		t.Errorf("%d passed at once, want %d", passed, noticeRate)
	}
	if g.pass("n0", now.Add(mourning-1)) || !g.pass("n0", now.Add(mourning)) {
		t.Error("a notice about the same node passes after mourning, not before")
	}
	for i := range 10 * maxMourned {
		g.pass(fmt.Sprintf("m%d", i), now.Add(time.Duration(i)*time.Second))
	}
	if len(g.names) > maxMourned+1 {
		t.Errorf("%d names remembered", len(g.names))
	}
}

func TestNoticesThatCannotBeRead(t *testing.T) {
	good := notice{"n1", "n2", "reason"}.encode()
	for name, b := range map[string][]byte{
		"empty":   {},
		"format":  append([]byte{7}, good[1:]...),
		"cut":     good[:len(good)-1],
		"no name": {noticeFormat},
		"bad":     notice{"a/b", "n2", ""}.encode(),
		"finder":  notice{"n1", "", ""}.encode(),
		"long":    notice{"n1", "n2", strings.Repeat("x", 1000)}.encode(),
	} {
		if n, err := decodeNotice(b); err == nil {
			t.Errorf("%s: read as %+v", name, n)
		}
	}
	if n, err := decodeNotice(appendText(good, 77, "new")); err != nil || n.name != "n1" {
		t.Errorf("a newer node's notice: %+v, %v", n, err)
	}
}
