package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckTests(t *testing.T) {
	for _, tt := range []struct{ name, out, want string }{
		{"passes", "=== RUN   TestA\nfigure a 1 x\n--- PASS: TestA (0.00s)\nPASS\nok  \tp\t0.1s\n", ""},
		{"subtests pass", "--- PASS: TestA (0.00s)\n    --- PASS: TestA/b (0.00s)\nok  \tp\t0.1s\n", ""},
		{"a package without tests", "?   \tq\t[no test files]\n--- PASS: TestA (0.00s)\nok  \tp\t0.1s\n", ""},
		{"stale pattern", "testing: warning: no tests to run\nPASS\nok  \tp\t0.1s [no tests to run]\n", "no test matches: ok p 0.1s [no tests to run]\nno test passed"},
		{"stale in one of two packages", "--- PASS: TestA (0.00s)\nok  \tp\t0.1s\nPASS\nok  \tq\t0.1s [no tests to run]\n", "no test matches: ok q 0.1s [no tests to run]"},
		{"nothing was run", "", "no test passed"},
		{
			"skipped", "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n    b_test.go:7: needs root\n--- SKIP: TestB (0.00s)\nok  \tp\t0.1s\n",
			"skipped TestB: needs root",
		},
		{
			"skipped subtest", "=== RUN   TestA\n=== RUN   TestA/b\n    a_test.go:7: no fio\n=== NAME  TestA\n    a_test.go:9: other\n--- PASS: TestA (0.00s)\n    --- SKIP: TestA/b (0.00s)\nok  \tp\t0.1s\n",
			"skipped TestA/b: no fio",
		},
		{"skipped only", "=== RUN   TestB\n    b_test.go:7: why\n--- SKIP: TestB (0.00s)\nok  \tp\t0.1s\n", "skipped TestB: why\nno test passed"},
	} {
		got := ""
		if err := checkTests([]byte(tt.out)); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// The words of this toolchain, not only those of the table above.
func TestTestsThatRunNothingMeetNoGoal(t *testing.T) {
	dir := t.TempDir()
	const tests = "package p\nimport \"testing\"\nfunc TestPasses(*testing.T) {}\nfunc TestSkips(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Skip(\"no fio\") }) }\n"
	for name, text := range map[string]string{"go.mod": "module p\n", "p_test.go": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ pattern, want string }{
		{"Passes", ""},
		{"NamedNoLonger", "no test matches"},
		{"Skips", "skipped TestSkips/sub: no fio"},
	} {
		r := measure([]goal{{name: "passes", command: "cd " + dir + " && go test -count=1 -v -run " + tt.pattern + " ."}}, io.Discard)[0]
		if r.met() != (tt.want == "") || !strings.Contains(r.reason, tt.want) {
			t.Errorf("%s: met %v, reason %q, want %q", tt.pattern, r.met(), r.reason, tt.want)
		}
	}
}
