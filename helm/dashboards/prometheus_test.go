package dashboards_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/internal/testtool"
)

type prometheus struct{ url string }

// startPrometheus scrapes targets at an interval, with the chart's rules.
func startPrometheus(t *testing.T, interval string, targets []target, flags ...string) *prometheus {
	t.Helper()
	program := testtool.Debian(t, "prometheus")
	dir := t.TempDir()
	var static []map[string]any
	for _, s := range targets {
		static = append(static, map[string]any{"targets": []string{s.admin}, "labels": map[string]string{"cluster": "c1", "zone": "z1", "node": s.node}})
	}
	rules, err := filepath.Abs(filepath.Join(chart, "rules", "cached.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := yaml.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": "1s"},
		"rule_files":     []string{rules},
		"scrape_configs": []any{map[string]any{"job_name": "cached", "static_configs": static}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{url: fmt.Sprintf("http://127.0.0.1:%d", testtool.FreePort(t))}
	flags = append(flags, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", strings.TrimPrefix(p.url, "http://"))
	testtool.Start(t, exec.Command(program, flags...), testtool.Answering(p.url+"/-/ready"))
	return p
}

// get asks Prometheus and decodes the data of its answer.
func (p *prometheus) get(path string, query url.Values, data any) error {
	resp, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s", answer.Error)
	}
	return nil
}

// query returns the samples of an instant query.
func (p *prometheus) query(expr string) ([]any, error) {
	var data struct{ Result []any }
	err := p.get("/api/v1/query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// A row is a series of a range query.
type row struct {
	Metric map[string]string
	Values []value
}

// A value is a sample: Unix seconds, and a number as text.
type value struct {
	at time.Time
	v  float64
}

func (v *value) UnmarshalJSON(text []byte) error {
	var at float64
	var number string
	if err := json.Unmarshal(text, &[]any{&at, &number}); err != nil {
		return err
	}
	var err error
	v.at = time.UnixMilli(int64(at * 1000)).UTC()
	v.v, err = strconv.ParseFloat(number, 64)
	return err
}

// queryRange returns the series of a range query.
func (p *prometheus) queryRange(expr string, from, to time.Time, step time.Duration) ([]row, error) {
	var data struct{ Result []row }
	unix := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	err := p.get("/api/v1/query_range", url.Values{"query": {expr}, "start": {unix(from)}, "end": {unix(to)}, "step": {fmt.Sprint(step.Seconds())}}, &data)
	return data.Result, err
}

// await waits until a query has a result.
func (p *prometheus) await(t *testing.T, expr string) {
	t.Helper()
	for late := time.After(60 * time.Second); ; {
		result, err := p.query(expr) // an error while it starts
		if len(result) > 0 {
			return
		}
		select {
		case <-late:
			t.Fatalf("never: %s (%v)", expr, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
