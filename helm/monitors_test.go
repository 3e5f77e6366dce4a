package helm_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// monitors are the endpoints of the monitors among all, by the name of their object.
func monitors(t *testing.T, all []object) map[string]object {
	t.Helper()
	found := map[string]object{}
	for kind, list := range map[string]string{"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"} {
		for _, o := range all {
			if o.at("kind") != kind {
				continue
			}
			endpoints := o.list("spec", list)
			if len(endpoints) != 1 {
				t.Fatalf("%s has the endpoints %v", o.name(), endpoints)
			}
			found[o.name()] = endpoints[0]
		}
	}
	return found
}

// relabeled are the labels that an endpoint gives whatever it scrapes.
func relabeled(endpoint object) map[string]string {
	labels := map[string]string{}
	for _, r := range endpoint.list("relabelings") {
		if r.at("sourceLabels") == nil {
			labels[fmt.Sprint(r.at("targetLabel"))] = fmt.Sprint(r.at("replacement"))
		}
	}
	return labels
}

// A node that is down is told of under whatever name the chart is installed: the
// operator calls a job after the release.
func TestTheAlertOfADeadNodeAsksForTheJobOfTheMonitors(t *testing.T) {
	asks := regexp.MustCompile(`\bup\{job=\\"([^"\\]*)\\"\}`)
	for name, values := range map[string][]string{"rel-cached": nil, "blocks": {"fullnameOverride=blocks"}, "rel-blocks": {"nameOverride=blocks"}} {
		for of, kind := range map[string]string{"monitoring": "PodMonitor ", "by Service": "ServiceMonitor "} {
			all := render(t, slices.Concat(values, cases[of])...)
			rule := asks.FindStringSubmatch(find(t, all, "PrometheusRule "+name).text(t))
			if rule == nil {
				t.Fatalf("%s: no alert asks for a job", name)
			}
			if job := relabeled(monitors(t, all)[kind+name])["job"]; job != rule[1] {
				t.Errorf("%s%s: the job is %q, the alert asks for %q", kind, name, job, rule[1])
			}
		}
	}
}

// A Prometheus that takes native histograms keeps those that the rules ask for, unless
// its operator does not know how to have it do so.
func TestTheMonitorsKeepClassicHistograms(t *testing.T) {
	for value, want := range map[string]any{"": true, "monitoring.classicHistograms=false": nil} {
		for of, kind := range map[string]string{"monitoring": "PodMonitor", "by Service": "ServiceMonitor"} {
			values := slices.Clone(cases[of])
			if value != "" {
				values = append(values, value)
			}
			if got := find(t, render(t, values...), kind+" rel-cached").at("spec", "scrapeClassicHistograms"); got != want {
				t.Errorf("%s, %q: %v, want %v", kind, value, got, want)
			}
		}
	}
}

// The dashboards' variable of the cluster has what the monitors say, if they say it.
func TestTheMonitorsNameTheCluster(t *testing.T) {
	for _, cluster := range []string{"", "eu-1", "eu 2: a"} {
		for _, of := range []string{"monitoring", "by Service"} {
			found := monitors(t, render(t, append([]string{"monitoring.cluster=" + cluster}, cases[of]...)...))
			if len(found) != 1 {
				t.Fatalf("%s has the monitors %v", of, found)
			}
			for name, endpoint := range found {
				if got, ok := relabeled(endpoint)["cluster"]; got != cluster || ok != (cluster != "") {
					t.Errorf("%s of the cluster %q says %q, %v", name, cluster, got, ok)
				}
			}
		}
	}
}
