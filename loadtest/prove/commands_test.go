package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	words = regexp.MustCompile(`'[^']*'|\S+`)
	tests = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// testsOf returns the tests of a package, or of those below it: "./cmd/...".
func testsOf(t *testing.T, pattern string) (names []string) {
	t.Helper()
	dir, below := strings.CutSuffix(filepath.Join("../..", pattern), "/...")
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != dir && !below:
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range tests.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", pattern, err)
	}
	return names
}

// alternatives are those of a -run or -skip, as far as they are about whole tests.
func alternatives(pattern string) (all []string) {
	depth, start := 0, 0
	for i, c := range pattern + "|" {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				test, _, _ := strings.Cut(pattern[start:i], "/")
				all, start = append(all, test), i+1
			}
		}
	}
	return all
}

// What a row names is there: each package has tests that run, and each test of a pattern
// is one.
func TestEveryCommandRunsWhatItNames(t *testing.T) {
	commands := map[string]bool{}
	for _, goals := range sets {
		for _, g := range goals {
			commands[g.command] = true
		}
	}
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		if !strings.HasPrefix(command, "go test ") {
			if command != demonstrate {
				t.Errorf("%s: of a kind that nobody looks at here", command)
			}
			continue
		}
		var run, skip string
		var all []string
		args := words.FindAllString(command, -1)
		for i, arg := range args {
			switch arg = strings.Trim(arg, "'"); {
			case args[max(i-1, 0)] == "-run":
				run = arg
			case args[max(i-1, 0)] == "-skip":
				skip = arg
			case strings.HasPrefix(arg, "./"):
				there := testsOf(t, arg)
				if !slices.ContainsFunc(there, func(name string) bool { return matchesAny(run, name) }) {
					t.Errorf("%s: no test of %s runs", command, arg)
				}
				all = append(all, there...)
			}
		}
		for _, pattern := range slices.Concat(alternatives(run), alternatives(skip)) {
			if !slices.ContainsFunc(all, regexp.MustCompile(pattern).MatchString) {
				t.Errorf("%s: there is no test %q", command, pattern)
			}
		}
		if len(all) == 0 {
			t.Errorf("%s names no package", command)
		}
	}
}

func matchesAny(pattern, name string) bool {
	return slices.ContainsFunc(alternatives(pattern), func(p string) bool { return regexp.MustCompile(p).MatchString(name) })
}
