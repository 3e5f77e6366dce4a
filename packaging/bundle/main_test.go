package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is no list, or no bundle, makes no image.
func TestWhatIsNoBundle(t *testing.T) {
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	list := file(`{"components": []}`)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "usage"},
		{[]string{list, file("")}, "no certificate in PEM"},
		{[]string{list, file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, "certificate 1"},
		{[]string{list, "/nowhere"}, "CA_BUNDLE=FILE"},
		{[]string{"/nowhere", list}, "/nowhere"},
	} {
		if err := run(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v: %v, want %q", tt.args, err, tt.says)
		}
	}
}
