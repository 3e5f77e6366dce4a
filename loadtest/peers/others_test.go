package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/testtool/pin"
)

// output runs a client to its end and returns what it printed.
func output(cmd *exec.Cmd) (string, error) {
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", cmd.Path, err, out, complaints.String())
	}
	return string(out), nil
}

func wrk(t *testing.T, program string, p peer, objects []object, span time.Duration) (seen, error) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "reads.lua")
	var paths strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&paths, "%q,\n", p.path(o))
	}
	if err := os.WriteFile(script, fmt.Appendf(nil, wrkScript, paths.String()), 0o600); err != nil {
		return seen{}, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), span+time.Minute)
	defer cancel()
	// wrk takes whole seconds only.
	seconds := max(1, int(span.Round(time.Second)/time.Second))
	out, err := output(exec.CommandContext(ctx, program, "-t", "1", "-c", strconv.Itoa(clients), "-d", fmt.Sprint(seconds, "s"),
		"--latency", "-s", script, "http://"+p.address))
	if err != nil {
		return seen{}, err
	}
	return parseWrk(out)
}

const wrkScript = `
local paths = {
%s}
local requests, n = {}, 0
init = function()
	for i, path in ipairs(paths) do
		requests[i] = wrk.format("GET", path)
	end -- of paths
end
request = function()
	n = n %% #requests + 1
	return requests[n]
end
`

var (
	wrkRate    = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)$`)
	wrkLatency = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([0-9.]+(?:us|ms|s|m))$`)
	wrkTrouble = regexp.MustCompile(`(?m)^\s+(Non-2xx or 3xx responses: .*|Socket errors: .*)$`)
)

// parseWrk reads the report of wrk 4.
func parseWrk(out string) (s seen, err error) {
	if trouble := wrkTrouble.FindString(out); trouble != "" {
		return s, errors.New(strings.TrimSpace(trouble))
	}
	m := wrkRate.FindStringSubmatch(out)
	if m == nil {
		return s, fmt.Errorf("no rate in what wrk printed:\n%s", out)
	}
	if s.perSecond, err = strconv.ParseFloat(m[1], 64); err != nil {
		return s, err
	}
	for _, m := range wrkLatency.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[2])
		if err != nil {
			return s, err
		}
		if m[1] == "50" {
			s.p50 = d
		} else {
			s.p99 = d
		}
	}
	if s.p50 == 0 || s.p99 == 0 {
		return s, fmt.Errorf("no latencies in what wrk printed:\n%s", out)
	}
	return s, nil
}

func ghz(t *testing.T, program string, p peer, objects []object, span time.Duration) (seen, error) {
	t.Helper()
	root, err := pin.Root()
	if err != nil {
		return seen{}, err
	}
	requests := make([]map[string]string, len(objects)) // sent in turn
	for i, o := range objects {
		requests[i] = map[string]string{"id": o.id.String()}
	}
	doc, err := json.Marshal(requests)
	if err != nil {
		return seen{}, err
	}
	file := filepath.Join(t.TempDir(), "requests.json")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		return seen{}, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), span+time.Minute)
	defer cancel()
	out, err := output(exec.CommandContext(ctx, program, "--insecure", "--proto", filepath.Join(root, "api/proto/cached/v1/block.proto"),
		"--call", "cached.v1.BlockService.ReadBlock", "--data-file", file, "-c", strconv.Itoa(clients), "--connections", strconv.Itoa(clients),
		"-z", span.String(), "--duration-stop", "wait", "-O", "json", p.address))
	if err != nil {
		return seen{}, err
	}
	return parseGhz(out)
}

// parseGhz reads the JSON report of ghz.
func parseGhz(out string) (s seen, err error) {
	var report struct {
		Rps                 float64
		Count               int
		LatencyDistribution []struct {
			Percentage int
			Latency    time.Duration
		}
		StatusCodeDistribution map[string]int
		ErrorDistribution      map[string]int
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return s, fmt.Errorf("%w in what ghz printed:\n%.500s", err, out)
	}
	if report.Count == 0 || report.StatusCodeDistribution["OK"] != report.Count {
		return s, fmt.Errorf("of %d calls: %v %v", report.Count, report.StatusCodeDistribution, report.ErrorDistribution)
	}
	s.perSecond = report.Rps
	for _, l := range report.LatencyDistribution {
		switch l.Percentage {
		case 50:
			s.p50 = l.Latency
		case 99:
			s.p99 = l.Latency
		}
	}
	return s, nil
}

// The words of these programs, as they print them.
func TestParseWrk(t *testing.T) {
	const report = `Running 1s test @ http://127.0.0.1:80
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.17ms    1.60ms  21.94ms   93.81%
    Req/Sec    10.28k     1.43k   12.36k    70.00%
  Latency Distribution
     50%  672.00us
     75%    1.05ms
     90%    2.16ms
     99%    8.81ms
  10233 requests in 1.00s, 2.50GB read
`
	got, err := parseWrk(report + "Requests/sec:  10215.50\nTransfer/sec:      2.50GB\n")
	if want := (seen{10215.50, 672 * time.Microsecond, 8810 * time.Microsecond}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{
		report, "Requests/sec:  10215.50\n",
		report + "  Non-2xx or 3xx responses: 7\nRequests/sec:  10215.50\n",
		report + "  Socket errors: connect 0, read 1, write 0, timeout 0\nRequests/sec:  10215.50\n",
	} {
		if got, err := parseWrk(bad); err == nil {
			t.Errorf("%+v of %q", got, bad)
		}
	}
}

func TestParseGhz(t *testing.T) {
	const report = `{"count":8,"rps":100.5,"latencyDistribution":[{"percentage":50,"latency":2000},{"percentage":99,"latency":9000}],"statusCodeDistribution":{"OK":%d}}`
	got, err := parseGhz(fmt.Sprintf(report, 8))
	if want := (seen{100.5, 2000, 9000}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{fmt.Sprintf(report, 7), "{}", "it says nothing"} {
		if got, err := parseGhz(bad); err == nil {
			t.Errorf("%+v of %q", got, bad)
		}
	}
}
