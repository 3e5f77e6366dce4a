package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zonecache/cached/internal/figure"
)

// A goal says what one figure must be.
type goal struct {
	name    string // what is shown
	figure  string // the name the command prints; "" means: the command succeeds, and its tests ran
	op      op
	bound   float64
	unit    string
	command string // run by the shell at the root of the tree, with CACHED_PROVE=1
	note    string // why it cannot be met, or what the reader must know
}

// typed is the command as a reader runs it at the root of the tree.
func (g goal) typed() string { return figure.FullEnv + "=1 " + g.command }

type op string

const (
	atLeast op = ">="
	above   op = ">"
	atMost  op = "<="
	exactly op = "="
	// oneWithin is a ratio that is 1 but for so much, to either side.
	oneWithin op = "1 +/-"
	shown     op = "" // no goal: shown beside the others
)

// A result is a goal with what was measured.
type result struct {
	goal
	value    float64
	measured bool
	reason   string // why there is no figure
}

func (r result) met() bool {
	if !r.measured {
		return false
	}
	switch r.op {
	case atLeast:
		return r.value >= r.bound
	case above:
		return r.value > r.bound
	case atMost:
		return r.value <= r.bound
	case exactly:
		return r.value == r.bound
	case oneWithin:
		return math.Abs(r.value-1) <= r.bound
	default:
		return true
	}
}

func choose(goals []goal, text string) []goal {
	var chosen []goal
	for _, g := range goals {
		if strings.Contains(g.command, text) {
			chosen = append(chosen, g)
		}
	}
	return chosen
}

// measure runs each different command once, in order of appearance.
func measure(goals []goal, log io.Writer) []result {
	type outcome struct {
		figures map[string]float64
		err     error
	}
	done := map[string]outcome{}
	var results []result
	for _, g := range goals {
		o, ok := done[g.command]
		if !ok {
			start := time.Now()
			fmt.Fprintf(os.Stderr, "prove: %s ... ", g.command)
			o.figures, o.err = runCommand(g.command, log)
			fmt.Fprintf(os.Stderr, "%s", time.Since(start).Round(time.Second))
			if o.err != nil {
				fmt.Fprintf(os.Stderr, ", FAILED: %v", o.err)
			}
			fmt.Fprintln(os.Stderr)
			done[g.command] = o
		}
		r := result{goal: g}
		switch v, found := o.figures[g.figure]; {
		case g.figure == "" && o.err == nil:
			r.value, r.measured = 1, true
		case g.figure != "" && found && o.err == nil:
			r.value, r.measured = v, true
		case o.err != nil:
			r.value, r.reason = v, strings.ReplaceAll(o.err.Error(), "\n", "; ")
		default:
			r.reason = "the command printed no figure " + g.figure
		}
		results = append(results, r)
	}
	return results
}

func runCommand(command string, log io.Writer) (map[string]float64, error) {
	fmt.Fprintf(log, "\n$ %s\n", command)
	var out bytes.Buffer
	log = &lockedWriter{w: log}
	cmd := exec.Command("bash", "-o", "pipefail", "-c", command)
	cmd.Env = append(os.Environ(), figure.FullEnv+"=1")
	cmd.Stdout = io.MultiWriter(&out, log)
	cmd.Stderr = log
	err := cmd.Run()
	if err == nil && strings.Contains(command, "go test") {
		err = checkTests(out.Bytes())
	}
	return parseFigures(&out), err
}

// lockedWriter lets the two goroutines that copy a command's output share one log.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// parseFigures reads the lines "figure NAME VALUE UNIT". Where a name comes
// twice the last one counts: benchmarks run with growing sizes.
func parseFigures(r io.Reader) map[string]float64 {
	figures := map[string]float64{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		// A benchmark's own line may precede the figure on the same line.
		_, rest, ok := strings.Cut(sc.Text(), "figure ")
		words := strings.Fields(rest)
		if !ok || len(words) < 2 {
			continue
		}
		if v, err := strconv.ParseFloat(words[1], 64); err == nil {
			figures[words[0]] = v
		}
	}
	return figures
}
