package dashboards_test

import (
	"encoding/json"
	"math"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/helm/dashboards"
)

// Every query of every panel, of every variable and of docs/operate.md, and every
// expression of a rule, is answered by a real Prometheus that has scraped a real zone.
func TestEveryQueryIsAnswered(t *testing.T) {
	targets := startReadZone(t)
	began := time.Now()
	p := startPrometheus(t, "500ms", targets)
	p.await(t, `count(rate(cached_block_reads_total[4s])) and sum(cached_block_reads_total{cause="demand", tier!="error"}) > 0`)
	var nodes []string
	for _, h := range targets {
		nodes = append(nodes, h.node)
	}
	for _, d := range dashboards.All() {
		got := p.variables(t, d)
		if !slices.Equal(got["cluster"], []string{"c1"}) || !slices.Equal(got["zone"], []string{"z1"}) || !slices.Equal(got["node"], nodes) {
			t.Errorf("%s: its variables are %v", d.Name, got)
		}
	}
	asked := planning(t)
	for _, d := range dashboards.All() {
		for _, panel := range d.Panels {
			for _, q := range panel.Queries {
				asked = append(asked, question{d.Name + ", " + panel.Title, q.Expr})
			}
		}
	}
	p.answers(t, asked, began, grafana("4s", nil))
	p.answers(t, asked, began, grafana("4s", map[string]string{"cluster": "c1", "zone": "z1", "node": "(" + strings.Join(nodes, "|") + ")"}))
	for _, node := range nodes {
		one := grafana("4s", map[string]string{"cluster": "c1", "zone": "z1", "node": node})
		for _, q := range asked {
			if result, err := p.query(one.Replace(q.expr)); err != nil || len(result) == 0 {
				t.Errorf("%s of %s: %d series, %v", q.of, node, len(result), err)
			}
		}
	}
	t.Logf("%d queries", len(asked))
	p.checkRules(t)
	checkNative(t, targets)
	checkPictures(t, p)
}

// grafana fills in what Grafana would; variables that are not given are "All".
func grafana(rateInterval string, values map[string]string) *strings.Replacer {
	pairs := []string{"$__rate_interval", rateInterval}
	for _, name := range []string{"cluster", "zone", "node"} {
		value, ok := values[name]
		if !ok {
			value = ".*"
		}
		pairs = append(pairs, "$"+name, value)
	}
	return strings.NewReplacer(pairs...)
}

// A question is what a panel or a page asks.
type question struct{ of, expr string }

// answers waits until each question has had a number for an answer, at some time since
// began: a ratio may be of nothing to nothing at others.
func (p *prometheus) answers(t *testing.T, asked []question, began time.Time, fill *strings.Replacer) {
	t.Helper()
	late := time.After(90 * time.Second)
	for asked = slices.Clone(asked); ; {
		asked = slices.DeleteFunc(asked, func(q question) bool {
			rows, err := p.queryRange(fill.Replace(q.expr), began, time.Now(), time.Second)
			if err != nil {
				t.Errorf("%s: %v\n%s", q.of, err, q.expr)
			}
			return err != nil || slices.ContainsFunc(rows, func(r row) bool {
				return slices.ContainsFunc(r.Values, func(v value) bool { return !math.IsNaN(v.v) && !math.IsInf(v.v, 0) })
			})
		})
		if len(asked) == 0 {
			return
		}
		select {
		case <-late:
			for _, q := range asked {
				t.Errorf("%s: no number comes of\n%s", q.of, fill.Replace(q.expr))
			}
			return
		case <-time.After(time.Second):
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// variables asks what a dashboard's variables ask, each with the values of those before it.
func (p *prometheus) variables(t *testing.T, d dashboards.Dashboard) map[string][]string {
	t.Helper()
	doc, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Templating struct {
			List []struct {
				Name, Type string
				Query      any
			}
		}
	}
	if err := json.Unmarshal(doc, &board); err != nil {
		t.Fatal(err)
	}
	all, chosen := map[string][]string{}, map[string]string{}
	for _, v := range board.Templating.List {
		if v.Type != "query" {
			continue
		}
		query, ok := v.Query.(map[string]any)
		text, isText := query["query"].(string)
		m := labelValues.FindStringSubmatch(text)
		if !ok || !isText || m == nil {
			t.Fatalf("%s: variable %s asks %v", d.Name, v.Name, v.Query)
		}
		var values []string
		if err := p.get("/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {grafana("", chosen).Replace(m[1])}}, &values); err != nil {
			t.Fatalf("%s: variable %s: %v", d.Name, v.Name, err)
		}
		all[v.Name], chosen[v.Name] = values, "("+strings.Join(values, "|")+")"
	}
	return all
}

// planning is what docs/operate.md asks of a zone that runs.
func planning(t *testing.T) (asked []question) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Capacity planning\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("`([^`]*\\bcached_[^`]*)`").FindAllStringSubmatch(section, -1) {
		asked = append(asked, question{"docs/operate.md, capacity planning", m[1]})
	}
	if len(asked) < 3 {
		t.Errorf("capacity planning asks %d questions: %v", len(asked), asked)
	}
	return asked
}
