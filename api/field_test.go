package api

import (
	"errors"
	"testing"
)

func TestNamesThatBreakLedgersAndTerminalsAreRefused(t *testing.T) {
	for _, bad := range []string{"\xff", "\x1b[31mred", "two\nlines", "tab\t", "\x00", "\u202eright-to-left"} {
		if err := checkField("image", bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
	for _, good := range []string{"", "flask:v1", "blake3:00ff", "Bücher-日本"} {
		if err := checkField("image", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
