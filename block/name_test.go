package block

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "flask:v1", "go-1.26", "x@sha256:00", "9_.-", strings.Repeat("n", 128)} {
		if err := CheckName(good); err != nil {
			t.Errorf("CheckName(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", "../a", "a..b", "-a", ":v1", "a b", "é", "a\x00", strings.Repeat("n", 129)} {
		if CheckName(bad) == nil {
			t.Errorf("CheckName(%q) succeeded", bad)
		}
	}
}
