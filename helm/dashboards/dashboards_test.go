package dashboards_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/helm/dashboards"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone"
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

// Every query of every panel, and every expression of a rule, is answered by a real
// Prometheus that has scraped a real zone.
func TestEveryQueryIsAnswered(t *testing.T) {
	targets := startZone(t)
	p := startPrometheus(t, targets)
	p.await(t, `count(rate(cached_block_reads_total[4s])) and sum(cached_block_reads_total{cause="demand", tier!="error"}) > 0`)
	n := 0
	for _, d := range dashboards.All() {
		for _, panel := range d.Panels {
			for _, q := range panel.Queries {
				n++
				result, err := p.query(grafana.Replace(q.Expr))
				switch {
				case err != nil:
					t.Errorf("%s, %s: %v\n%s", d.Name, panel.Title, err, q.Expr)
				case len(result) == 0:
					t.Errorf("%s, %s: no result of\n%s", d.Name, panel.Title, q.Expr)
				}
			}
		}
	}
	t.Logf("%d queries", n)
	p.checkRules(t)
	checkNative(t, targets)
}

// checkNative has a Prometheus with native histograms scrape the same hosts: the
// durations are there in that form, and lead to traces.
func checkNative(t *testing.T, targets []target) {
	t.Helper()
	p := startPrometheus(t, targets, "--enable-feature=native-histograms,exemplar-storage")
	p.await(t, `histogram_quantile(0.99, sum by (tier) (rate(cached_block_read_duration_seconds{tier="l1"}[4s]))) > 0`)
	p.await(t, `histogram_quantile(0.5, sum by (tier) (rate(cached_tier_read_duration_seconds{tier="l1"}[4s]))) > 0`)
	var exemplars []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	now := fmt.Sprint(time.Now().Add(time.Minute).Unix())
	if err := p.get("/api/v1/query_exemplars", url.Values{"query": {"cached_block_read_duration_seconds_bucket"}, "start": {"0"}, "end": {now}}, &exemplars); err != nil {
		t.Fatal(err)
	}
	if len(exemplars) == 0 || len(exemplars[0].Exemplars) == 0 || len(exemplars[0].Exemplars[0].Labels["trace_id"]) != 32 {
		t.Errorf("exemplars %v, want some with a trace_id", exemplars)
	}
}

// grafana fills in what Grafana would.
var grafana = strings.NewReplacer("$__rate_interval", "4s", "$cluster", ".*", "$zone", ".*", "$node", ".*")

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
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	text, err := os.ReadFile(filepath.Join(chart, "rules", "cached.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`\bcached_[a-z0-9_]+`)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
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
	if len(file.Groups) == 0 {
		t.Error("there are no rules")
	}
}

// Alerts fire when they are to, and say what they are to.
func TestAlerts(t *testing.T) {
	promtool := testtool.Debian(t, "promtool")
	for _, args := range [][]string{{"check", "rules", filepath.Join(chart, "rules", "cached.yaml")}, {"test", "rules", "testdata/alerts.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	// Each alert is in the tests, and has a runbook.
	rules, err := os.ReadFile(filepath.Join(chart, "rules", "cached.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(rules, -1) {
		if !bytes.Contains(tests, append([]byte("alertname: "), m[1]...)) {
			t.Errorf("no test fires %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`RUNBOOKS/(\S+)`).FindAllSubmatch(rules, -1) {
		if _, err := os.Stat(filepath.Join("../../docs/runbooks", string(m[1]))); err != nil {
			t.Errorf("the runbook is missing: %v", err)
		}
	}
}

// A target is a daemon as Prometheus sees it.
type target struct{ node, admin string }

// startZone starts three hosts that know each other by certificates, and a program on
// each that reads until the test ends.
func startZone(t *testing.T) (targets []target) {
	t.Helper()
	dir := t.TempDir()
	programs, err := zone.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := programs.Command(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("cached %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t)) }
	if err := os.WriteFile(file("keys"), []byte(run("certs", "gossip-key")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("bytes"), blocktest.Bytes(1, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	run("certs", "init", "--dir", file("ca"), "--zone", "z1")
	run("publish", "file:"+file("bytes"), "--name", "app", "--origin", "file://"+file("origin"))
	seed, nobody := address(), address()
	for i := range 3 {
		node, listen, admin, gossip := fmt.Sprintf("h%d", i), address(), address(), seed
		run("certs", "issue", "--ca", file("ca"), "--node", node, "--out", file(node))
		args := []string{
			"serve", "--data-dir", file(node + "-data"), "--origin", "file://" + file("origin"), "--listen", listen, "--admin", admin,
			"--tracing-endpoint", "http://" + nobody, "--tracing-sample", "1", // for exemplars; nobody collects
			"--l1-size", "16MiB", "--l2-size", "64MiB", "--l2-min-free", "0", "--zone", "z1", "--node", node, "--zone-tls", file(node), "--gossip-keys", file("keys"), "--peer-listen", address(),
		}
		if i > 0 {
			gossip = address()
			args = append(args, "--seed", seed)
		}
		testtool.Start(t, programs.Command(append(args, "--gossip", gossip)...), testtool.Answering("http://"+admin+"/readyz"))
		targets = append(targets, target{node, admin})
		stop, done := make(chan struct{}), make(chan struct{})
		t.Cleanup(func() { close(stop); <-done })
		go func() {
			defer close(done)
			for {
				_ = programs.Command("read", "app", "--output", "/dev/null", "--server", "http://"+listen).Run()
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		}()
	}
	return targets
}

type prometheus struct{ url string }

func startPrometheus(t *testing.T, targets []target, flags ...string) *prometheus {
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
		"global":         map[string]any{"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
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
	flags = append(flags, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", strings.TrimPrefix(p.url, "http://"))
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

// Variables that no query uses, or unknown ones, would be dead weight or a blank page.
func TestVariables(t *testing.T) {
	used := map[string]bool{}
	for _, d := range dashboards.All() {
		for _, panel := range d.Panels {
			for _, q := range panel.Queries {
				for _, v := range regexp.MustCompile(`\$\w+`).FindAllString(q.Expr, -1) {
					used[v] = true
				}
				if strings.Contains(q.Expr, "rate(") && !strings.Contains(q.Expr, "$__rate_interval") {
					t.Errorf("%s, %s: a rate of another window than $__rate_interval", d.Name, panel.Title)
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
