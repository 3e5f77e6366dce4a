package helm_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/helm/schemas"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
)

// needs is the release of Kubernetes that a case wants, of 1.
var needs = map[string]int{"same node": 34}

// conform runs kubeconform over files with the schemas of one version of Kubernetes
// and of the operators. It returns what is not valid.
func conform(t *testing.T, set string, files ...string) []string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append([]string{set}, schemas.Operators...) {
		s, err := schemas.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		for kind, definition := range s.Kinds {
			version, kind, _ := strings.Cut(kind, " ")
			group, version, core := strings.Cut(version, "/")
			if !core {
				version = group
			}
			stub, _ := json.Marshal(map[string]string{"$ref": name + "#/definitions/" + definition})
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, group+"_"+version+"_"+strings.ToLower(kind)+".json"), stub, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(testtool.Go(t, "kubeconform"), append([]string{"-strict", "-output", "json", "-schema-location", dir + "/{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"}, files...)...)
	out, err := cmd.Output()
	var said struct {
		Resources []struct{ Filename, Kind, Name, Status, Msg string }
	}
	if jsonErr := json.Unmarshal(out, &said); jsonErr != nil {
		t.Fatalf("%v: %v\n%s", err, jsonErr, out)
	}
	var bad []string
	for _, r := range said.Resources {
		bad = append(bad, strings.Join([]string{filepath.Base(r.Filename), r.Kind, r.Name, r.Status, r.Msg}, " "))
	}
	return bad
}

// Every object of every way to install the chart is what the API says, without any
// field that it does not know, in several versions of Kubernetes.
func TestEveryObjectIsOfTheAPI(t *testing.T) {
	figure.Report(t, "helm.ways", float64(len(cases)), "ways")
	dir := t.TempDir()
	manifests := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		out, err := helm(t, append(slices.Clone(least), cases[name]...)...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		manifests[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".yaml")
		if err := os.WriteFile(manifests[name], out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wrong := wrongObjects(t, dir)
	for _, version := range schemas.Kubernetes {
		t.Run(version, func(t *testing.T) {
			minor, err := strconv.Atoi(strings.Split(version, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			var files []string
			for name, file := range manifests {
				if minor >= needs[name] {
					files = append(files, file)
				}
			}
			set := "kubernetes-" + version + ".json"
			for _, bad := range conform(t, set, files...) {
				t.Error(bad)
			}
			refused := strings.Join(conform(t, set, slices.Collect(maps.Values(wrong))...), "\n")
			for name, file := range wrong {
				if !strings.Contains(refused, filepath.Base(file)) {
					t.Errorf("%s is found to be right", name)
				}
			}
		})
	}
}

// wrongObjects are objects of the chart with a mistake each.
func wrongObjects(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for name, spoil := range map[string]struct {
		object string
		path   []string
		value  any
	}{
		"a field that there is not":    {daemonSet, []string{"spec", "template", "spec", "hostNetwrok"}, true},
		"a number for a string":        {daemonSet, []string{"spec", "template", "spec", "priorityClassName"}, 7},
		"a probe that there is not":    {"Service rel-cached-peers-eu-1a", []string{"spec", "readinessProbe"}, map[string]any{}},
		"a monitor's field":            {"PodMonitor rel-cached", []string{"spec", "podMetricEndpoints"}, []any{}},
		"a rule's field":               {"PrometheusRule rel-cached", []string{"spec", "groups"}, []any{map[string]any{"name": "a", "rule": []any{}}}},
		"a certificate's field":        {"Certificate rel-cached-agents", []string{"spec", "dnsName"}, "localhost"},
		"a dashboard's field":          {"GrafanaDashboard rel-cached-zone", []string{"spec", "foldr"}, "x"},
		"metadata of an operator kind": {"PodMonitor rel-cached", []string{"metadata", "labls"}, map[string]any{}},
	} {
		values := slices.Concat(cases["monitoring"], cases["issuer"])
		if strings.HasPrefix(spoil.object, "Grafana") {
			values = cases["operator"]
		}
		o := find(t, render(t, values...), spoil.object)
		at := map[string]any(o)
		for _, key := range spoil.path[:len(spoil.path)-1] {
			at = at[key].(map[string]any) //nolint:forcetypeassert // a panic says enough
		}
		at[spoil.path[len(spoil.path)-1]] = spoil.value
		text, err := yaml.Marshal(map[string]any(o))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".wrong.yaml")
		if err := os.WriteFile(files[name], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Chart.yaml allows what the chart was checked against, and nothing older.
func TestTheOldestKubernetes(t *testing.T) {
	text, err := os.ReadFile("cached/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var chart struct {
		KubeVersion string `yaml:"kubeVersion"`
	}
	if err := yaml.Unmarshal(text, &chart); err != nil {
		t.Fatal(err)
	}
	oldest := strings.Join(strings.Split(schemas.Kubernetes[0], ".")[:2], ".")
	if chart.KubeVersion != ">="+oldest+".0-0" {
		t.Errorf("kubeVersion is %s, the oldest that is checked %s", chart.KubeVersion, oldest)
	}
}
