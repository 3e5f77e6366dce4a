package dashboards_test

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/helm/dashboards"
)

const chart = "../cached"

func TestTheChartHasTheDashboards(t *testing.T) {
	var want []string
	for _, d := range dashboards.All() {
		doc, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, d.Name+".json")
		was, err := os.ReadFile(filepath.Join(chart, "dashboards", d.Name+".json"))
		if err != nil || !bytes.Equal(was, doc) {
			t.Errorf("%s.json is not what the code says (%v): run `go generate ./helm/dashboards`", d.Name, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(chart, "dashboards", "*"))
	if err != nil || len(files) != len(want) {
		t.Errorf("the chart has %v, want %v", files, want)
	}
}

// checkNative has a Prometheus with native histograms scrape the same hosts: the
// durations are there in that form, and lead to traces.
func checkNative(t *testing.T, targets []target) {
	t.Helper()
	p := startPrometheus(t, "500ms", targets, "--enable-feature=native-histograms,exemplar-storage")
	p.await(t, `histogram_quantile(0.99, sum by (tier) (rate(cached_block_read_duration_seconds{tier="l1"}[4s]))) > 0`)
	p.await(t, `histogram_quantile(0.5, sum by (tier) (rate(cached_tier_read_duration_seconds{tier="l1"}[4s]))) > 0`)
	var exemplars []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	now := fmt.Sprint(time.Now().Add(time.Minute).Unix())
	if err := p.get("/api/v1/query_exemplars", url.Values{"query": {`{__name__=~"cached_block_read_duration_seconds.*"}`}, "start": {"0"}, "end": {now}}, &exemplars); err != nil {
		t.Fatal(err)
	}
	if len(exemplars) == 0 || len(exemplars[0].Exemplars) == 0 || len(exemplars[0].Exemplars[0].Labels["trace_id"]) != 32 {
		t.Errorf("exemplars %v, want some with a trace_id", exemplars)
	}
}

// checkRules evaluates every rule, and knows every metric that one names.
func (p *prometheus) checkRules(t *testing.T) {
	t.Helper()
	known := map[string]bool{}
	var names []string
	if err := p.get("/api/v1/label/__name__/values", nil, &names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		known[name] = true
	}
	metric := regexp.MustCompile(`\bcached[_:][a-z0-9_:]+`)
	for _, r := range rules(t) {
		if r.Record != "" {
			known[r.Record] = true
		}
		switch result, err := p.query(r.Expr); {
		case err != nil:
			t.Errorf("%s%s: %v", r.Record, r.Alert, err)
		case r.Record != "" && len(result) == 0: // as for a bound of a bucket that no histogram has
			t.Errorf("%s is nothing: %s", r.Record, r.Expr)
		}
		for _, name := range metric.FindAllString(r.Expr, -1) {
			if !known[name] {
				t.Errorf("%s%s: no node has a metric %s", r.Record, r.Alert, name)
			}
		}
	}
}

// Variables that no query uses, or unknown ones, would be dead weight or a blank page.
func TestVariables(t *testing.T) {
	// What is counted within a time that the panel's text names, and is no rate.
	counted := map[string]string{
		"overview, Cold starts":                             "5m",
		"overview, Blocks that were not what their id says": "5m",
		"prefetch, Starts recorded":                         "5m",
	}
	used := map[string]bool{}
	for _, d := range dashboards.All() {
		for _, panel := range d.Panels {
			for _, q := range panel.Queries {
				for _, v := range regexp.MustCompile(`\$\w+`).FindAllString(q.Expr, -1) {
					used[v] = true
				}
				for _, window := range regexp.MustCompile(`\[([^]]*)\]`).FindAllStringSubmatch(q.Expr, -1) {
					if at := d.Name + ", " + panel.Title; window[1] != "$__rate_interval" && window[1] != counted[at] {
						t.Errorf("%s: a window of %s, want $__rate_interval", at, window[1])
					}
				}
			}
		}
	}
	var names []string
	for v := range used {
		names = append(names, v)
	}
	slices.Sort(names)
	if want := []string{"$__rate_interval", "$cluster", "$node", "$zone"}; !slices.Equal(names, want) {
		t.Errorf("variables %v, want %v", names, want)
	}
}
