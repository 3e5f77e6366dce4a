package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/zonecache/cached/internal/figure"
)

const page = "../../docs/hitrate.md"

// The page has the table that the command prints of the recorded starts, but for the
// tier that samples at random.
func TestThePageHasTheTable(t *testing.T) {
	if figure.Instrumented {
		t.Skip("eight policies at five sizes take a minute")
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)<!-- hitrate recorded -->\n(.*?)<!-- end -->`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the page has no place for it")
	}
	have, want := strings.Split(strings.TrimSpace(string(found[1])), "\n"), strings.Split(strings.TrimSpace(called(t, "recorded")), "\n")
	if len(have) != len(want) {
		t.Fatalf("the page's table has %d lines, the command's %d: go run ./loadtest/hitrate -doc docs/hitrate.md", len(have), len(want))
	}
	for i := range want {
		if strings.HasPrefix(want[i], "| L1 ") {
			sameRates(t, have[i], want[i])
			continue
		}
		if have[i] != want[i] {
			t.Errorf("the page has\n%s\nthe command\n%s", have[i], want[i])
		}
	}
}

// sameRates compares rows of a tier whose figures differ from run to run.
func sameRates(t *testing.T, have, want string) {
	t.Helper()
	number := regexp.MustCompile(`[0-9]+\.[0-9]`)
	a, b := number.FindAllString(have, -1), number.FindAllString(want, -1)
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%s\n%s", have, want)
	}
	for i := range a {
		x, _ := strconv.ParseFloat(a[i], 64)
		y, _ := strconv.ParseFloat(b[i], 64)
		if x-y > 3 || y-x > 3 {
			t.Errorf("the page says %s, the command %s", a[i], b[i])
		}
	}
}

// Tables find their places in a page, and a page without one is an error.
func TestTablesAreReplaced(t *testing.T) {
	got, err := replaceTable([]byte("a\n<!-- hitrate x -->\nold $1\n<!-- end -->\nb\n"), "x", []byte("| $1 |\n"))
	if want := "a\n<!-- hitrate x -->\n\n| $1 |\n\n<!-- end -->\nb\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaceTable(got, "y", nil); err == nil {
		t.Error("there is no place for y")
	}
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run([]string{"-policy", "all", "-doc", file}, &out, &out); err == nil {
		t.Error("a page without places is no error")
	}
}
