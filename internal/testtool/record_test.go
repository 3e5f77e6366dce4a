package testtool

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// A recorder is a testing.TB that keeps what was said to it, for tests of what
// fails or skips a test.
type recorder struct {
	testing.TB // for the methods not defined here

	mu              sync.Mutex
	lines           strings.Builder
	failed, skipped bool
	cleanups        []func()
}

// endOfTest unwinds a recorded test as runtime.Goexit does a real one.
type endOfTest struct{}

// record runs f as a test of its own, with its cleanups.
func record(tb testing.TB, f func(testing.TB)) *recorder {
	r := &recorder{TB: tb}
	func() {
		defer func() {
			if e := recover(); e != nil && e != any(endOfTest{}) {
				panic(e)
			}
		}()
		f(r)
	}()
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func (r *recorder) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}

func (r *recorder) say(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines.WriteString(line + "\n")
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return r.failed }
func (r *recorder) Skipped() bool    { return r.skipped }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Logf(format string, args ...any) { r.say(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatal(args ...any) {
	r.say(fmt.Sprint(args...))
	r.failed = true
	panic(endOfTest{})
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func (r *recorder) Skip(args ...any) {
	r.say(fmt.Sprint(args...))
	r.skipped = true
	panic(endOfTest{})
}
