package identity_test

import (
	"testing"
	"time"

	"github.com/zonecache/cached/identity"
)

// Whoever renews once a year is told in the last week, and who does every day in the
// last fifth: a certificate that is new is nothing to worry about.
func TestACertificateIsLate(t *testing.T) {
	const day = 24 * time.Hour // and they begin a day before they are made
	ca := newCA(t, identity.CAOptions{Zone: "z1"})
	for _, tt := range []struct {
		lifetime, left time.Duration
		late           bool
	}{
		{365 * day, 365 * day, false},
		{365 * day, 8 * day, false},
		{365 * day, 6 * day, true},
		{day, day, false},
		{day, 10 * time.Hour, false},
		{day, 9 * time.Hour, true},
		{day, -time.Hour, true},
	} {
		now := newClock()
		s := load(t, issue(t, ca, identity.Request{Node: "a", Lifetime: tt.lifetime}), identity.Options{Now: now.Now})
		now.add(s.NotAfter().Sub(now.Now()) - tt.left)
		if left, late := s.Left(); left != tt.left || late != tt.late {
			t.Errorf("of %v, %v before its end: %v, %v, want %v", tt.lifetime, tt.left, left, late, tt.late)
		}
	}
}
