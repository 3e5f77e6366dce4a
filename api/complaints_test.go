package api

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A port scanned all day must not hide that a node's certificate is refused.
func TestAFloodOfOneComplaintHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logs
		log := slog.New(slog.NewTextHandler(&out, nil))
		var c complaints
		for range 1000 {
			c.warn(log, "a TLS handshake failed", "peer", "scanner")
		}
		c.warn(log, "a peer was refused", "peer", "node-1")
		time.Sleep(complaintGap) //nolint:forbidigo // the clock of synctest
		c.warn(log, "a TLS handshake failed", "peer", "scanner")
		text := out.b.String()
		if strings.Count(text, "a TLS handshake failed") != 2 || strings.Count(text, "a peer was refused") != 1 || !strings.Contains(text, "not_logged=999") {
			t.Error(text)
		}
	})
}
