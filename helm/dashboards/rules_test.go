package dashboards_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/helm/dashboards"
	"github.com/zonecache/cached/internal/testtool"
)

var recorded = regexp.MustCompile(`cached:[a-z0-9_:]+`)

var rulesFile = filepath.Join(chart, "rules", "cached.yaml")

type rule struct {
	Record, Alert, Expr string
	Annotations         map[string]string
}

// rules are those of the chart.
func rules(t *testing.T) (list []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	unmarshal(t, rulesFile, &file)
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) == 0 {
		t.Fatal("there are no rules")
	}
	return list
}

func unmarshal(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Alerts fire when they are to, say what they are to, and are quiet otherwise; what the
// rules record is exact.
func TestAlerts(t *testing.T) {
	promtool := testtool.Debian(t, "promtool")
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	for _, args := range [][]string{{"check", "rules", rulesFile}, append([]string{"test", "rules"}, files...)} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	fires, quiet, exact := tested(t, files)
	for _, r := range rules(t) {
		if r.Record != "" {
			if !exact[r.Record] {
				t.Errorf("no test has the numbers of %s", r.Record)
			}
			continue
		}
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: a test has it fire: %t, be quiet: %t", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
		page, ok := strings.CutPrefix(r.Annotations["runbook_url"], "RUNBOOKS/")
		if _, err := os.Stat(filepath.Join("../../docs/runbooks", page)); !ok || err != nil {
			t.Errorf("%s: the runbook is missing: %v", r.Alert, err)
		}
	}
}

// tested says what the tests want to fire and to be quiet, and of what they have numbers.
func tested(t *testing.T, files []string) (fires, quiet, exact map[string]bool) {
	t.Helper()
	fires, quiet, exact = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, name := range files {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Want []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
				Exprs []struct {
					Expr string
					Want []any `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
			}
		}
		unmarshal(t, name, &file)
		for _, test := range file.Tests {
			for _, a := range test.Alerts {
				if len(a.Want) > 0 {
					fires[a.Name] = true
				} else {
					quiet[a.Name] = true
				}
			}
			for _, e := range test.Exprs {
				if len(e.Want) > 0 {
					exact[recorded.FindString(e.Expr)] = true
				}
			}
		}
	}
	return fires, quiet, exact
}

// Two clusters may have a zone of the same name, and are two zones.
func TestRulesKeepClustersApart(t *testing.T) {
	by := regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	for _, r := range rules(t) {
		for _, m := range by.FindAllStringSubmatch(r.Expr, -1) {
			if !strings.HasPrefix(m[1], "cluster, zone") {
				t.Errorf("%s%s: %s, want it by cluster and zone", r.Record, r.Alert, m[0])
			}
		}
	}
	for _, d := range dashboards.All() {
		for _, p := range d.Panels {
			for _, q := range p.Queries {
				for _, m := range by.FindAllStringSubmatch(q.Expr, -1) {
					if strings.Contains(m[1], "zone") && !strings.HasPrefix(m[1], "cluster, zone") {
						t.Errorf("%s, %s: %s, want it by cluster and zone", d.Name, p.Title, m[0])
					}
				}
			}
		}
	}
}
