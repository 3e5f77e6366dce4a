package promtest

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScale(t *testing.T) {
	const rules = `
groups:
  - name: g
    interval: 30s
    rules:
      - record: a:rate5m
        expr: sum(rate(a{b="[5m]x"}[5m])) / sum(rate(a[1h])) * 86400
      - alert: A
        expr: a:rate5m > 0.5
        for: 1h
        labels: {severity: info}
`
	out, err := Scale([]byte(rules), 300)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"interval: 100ms", "[1000ms]", "[12000ms]", "* 86400", "for: 12000ms", "severity: info", "> 0.5"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
	for _, bad := range []string{"groups: [{name: g}]", "groups: [{name: g, interval: soon, rules: []}]", "groups: [{name: g, rules: [{expr: a, for: 1y}]}]", "groups: 5"} {
		if _, err := Scale([]byte(bad), 300); err == nil {
			t.Errorf("%s is scaled", bad)
		}
	}
}
