package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	testLine   = regexp.MustCompile(`--- (PASS|SKIP|FAIL): (\S+)`)
	runLine    = regexp.MustCompile(`^=== (?:RUN|CONT|NAME)\s+(\S+)`)
	loggedLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)
)

// checkTests finds in the output of `go test -v` why it proves nothing although
// it passed: a pattern that no longer matches a test, or tests that were skipped.
func checkTests(out []byte) error {
	var (
		passed  int
		current string
		logged  = map[string]string{} // by test, what it said last
		problem []error
	)
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\n")
		if strings.HasSuffix(text, "[no tests to run]") {
			problem = append(problem, fmt.Errorf("no test matches: %s", strings.Join(strings.Fields(text), " ")))
		}
		if m := runLine.FindStringSubmatch(text); m != nil {
			current = m[1]
		} else if m := loggedLine.FindStringSubmatch(text); m != nil {
			logged[current] = m[1]
		}
		switch m := testLine.FindStringSubmatch(text); {
		case m == nil:
		case m[1] == "PASS":
			passed++
		case m[1] == "SKIP":
			problem = append(problem, fmt.Errorf("skipped %s: %s", m[2], logged[m[2]]))
		}
	}
	if passed == 0 {
		problem = append(problem, errors.New("no test passed"))
	}
	return errors.Join(problem...)
}
