// Package schemas has strict JSON schemas of what the chart may render, of several
// versions of Kubernetes and of the operators' own kinds: a field that the API does
// not know is an error, as it is for an API server with fieldValidation=Strict.
//
// Each *.json here is a [Set], cut out of what its project publishes in a Go module
// ([Sources]), by `go generate ./helm/schemas`. grafana.integreatly.org.json is
// written by hand: its project's module is not to be had, so that it allows only the
// fields of the kind that the chart needs.
package schemas

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

//go:generate go run ./write .

// A Set is the schemas of some kinds and of what they refer to.
type Set struct {
	From        string                     `json:"from"`  // what it was made of
	Kinds       map[string]string          `json:"kinds"` // "apps/v1 DaemonSet": the name of its definition
	Definitions map[string]json.RawMessage `json:"definitions"`
}

//go:embed *.json
var files embed.FS

// Open returns a set, called after its source: "kubernetes-1.37.2.json".
func Open(name string) (Set, error) {
	var s Set
	text, err := files.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("schemas: %s: %w", name, err)
	}
	return s, nil
}

// A Source is a module with files that describe kinds.
type Source struct {
	Module  string
	Version string
	Files   []string // inside the module
	Kinds   []string // "group/version Kind"; of the core group "v1 Kind"
	Name    string   // of the file here
}

// core are the kinds of Kubernetes itself that the chart renders.
var core = []string{
	"apps/v1 DaemonSet", "v1 Service", "v1 ConfigMap", "v1 Secret", "v1 ServiceAccount",
	"networking.k8s.io/v1 NetworkPolicy", "policy/v1 PodDisruptionBudget",
}

// Kubernetes are the versions that the chart is checked against: the oldest that
// Chart.yaml allows, the newest, and some between.
var Kubernetes = []string{"1.29.6", "1.32.13", "1.34.4", "1.37.2"}

// Sources are where the sets come from.
func Sources() []Source {
	var all []Source
	for _, v := range Kubernetes {
		all = append(all, Source{
			Module: "k8s.io/kubernetes", Version: "v" + v, Files: []string{"api/openapi-spec/swagger.json"}, Kinds: core, Name: "kubernetes-" + v + ".json",
		})
	}
	return append(all, Source{
		Module: "github.com/prometheus-operator/prometheus-operator", Version: "v0.85.0",
		Files: []string{
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
		},
		Name: "monitoring.coreos.com.json",
	}, Source{
		Module: "github.com/cert-manager/cert-manager", Version: "v1.21.2",
		Files: []string{"deploy/crds/cert-manager.io_certificates.yaml"},
		Name:  "cert-manager.io.json",
	})
}

// Operators are the sets of kinds that are not Kubernetes' own.
var Operators = []string{"monitoring.coreos.com.json", "cert-manager.io.json", "grafana.integreatly.org.json"}

// quantity is what an API server takes for one; the document says string.
var quantity = json.RawMessage(`{"type": ["number", "string"]}`)

var reference = regexp.MustCompile(`"#/definitions/([^"]+)"`)

// Cut returns the definitions of kinds out of those of an OpenAPI document, with all
// they refer to, made strict.
func Cut(definitions map[string]json.RawMessage, kinds []string) (Set, error) {
	type groupKind struct{ Group, Version, Kind string }
	names := map[string]string{}
	for name, text := range definitions {
		var d struct {
			Kinds []groupKind `json:"x-kubernetes-group-version-kind"`
		}
		if err := json.Unmarshal(text, &d); err != nil {
			return Set{}, fmt.Errorf("schemas: %s: %w", name, err)
		}
		for _, k := range d.Kinds {
			names[strings.TrimPrefix(k.Group+"/"+k.Version, "/")+" "+k.Kind] = name
		}
	}
	s := Set{Kinds: map[string]string{}}
	var roots []string
	for _, kind := range kinds {
		name, ok := names[kind]
		if !ok {
			return s, fmt.Errorf("schemas: there is no %s", kind)
		}
		s.Kinds[kind] = name
		roots = append(roots, name)
	}
	var err error
	s.Definitions, err = Closure(definitions, roots...)
	return s, err
}

// Closure returns the definitions of these names and of all they refer to, made strict.
func Closure(definitions map[string]json.RawMessage, roots ...string) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	for len(roots) > 0 {
		name := roots[0]
		roots = roots[1:]
		text, ok := definitions[name]
		if _, done := all[name]; done || !ok {
			continue
		}
		if strings.HasSuffix(name, ".resource.Quantity") {
			text = quantity
		}
		var err error
		if all[name], err = Strict(text); err != nil {
			return nil, fmt.Errorf("schemas: %s: %w", name, err)
		}
		for _, m := range reference.FindAllSubmatch(text, -1) {
			roots = append(roots, string(m[1]))
		}
	}
	return all, nil
}
