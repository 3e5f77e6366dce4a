package sparse

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A port scanned all day must not hide that a node's certificate is refused.
func TestAFloodOfOneKindHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		var g Gate
		for range 1000 {
			g.Warn(log, "a TLS handshake failed", "peer", "scanner")
		}
		g.Warn(log, "a peer was refused", "peer", "node-1")
		<-time.After(DefaultGap)
		g.Warn(log, "a TLS handshake failed", "peer", "scanner")
		text := out.String()
		if strings.Count(text, "a TLS handshake failed") != 2 || strings.Count(text, "a peer was refused") != 1 || !strings.Contains(text, "not_logged=999") {
			t.Error(text)
		}
	})
}

func TestEachKindPassesOnceInAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		for range 25 {
			g.Warn(log, "one kind", "peer", "b")
			g.Warn(log, "another", "peer", "b")
			<-time.After(DefaultGap / 10)
		}
		for _, kind := range []string{`"one kind"`, "another"} {
			if n := strings.Count(out.String(), "msg="+kind); n != 3 {
				t.Errorf("%d lines about %s, want 3:\n%s", n, kind, &out)
			}
		}
		if n := strings.Count(out.String(), "not_logged=9"); n != 4 {
			t.Errorf("%d lines say how many were left out, want 4:\n%s", n, &out)
		}
	})
}

func TestKindsThatAreMadeUpFillNoMemory(t *testing.T) {
	g := Gate{Gap: time.Hour}
	now := time.Unix(1000, 0)
	for i := range 10 * maxKeys {
		if _, ok := g.Pass(fmt.Sprint(i), now); !ok {
			t.Fatalf("kind %d did not pass", i)
		}
	}
	if n := len(g.kinds); n > maxKeys {
		t.Errorf("%d kinds are remembered", n)
	}
}

func TestPassCountsWhatDidNot(t *testing.T) {
	const gap = 10 * time.Second
	g := Gate{Gap: gap}
	now := time.Now()
	if _, ok := g.Pass("a", now); !ok {
		t.Error("the first one")
	}
	for range 3 {
		if _, ok := g.Pass("a", now.Add(gap-1)); ok {
			t.Error("too soon")
		}
	}
	if missed, ok := g.Pass("a", now.Add(gap)); !ok || missed != 3 {
		t.Errorf("missed %d, %v", missed, ok)
	}
}
