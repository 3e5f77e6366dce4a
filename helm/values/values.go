// Package values completes the schema of the chart's values: its properties are written
// by hand, and its definitions are what they refer to, of the newest Kubernetes that the
// chart is checked against and of the daemon's configuration file. Beside it stands what
// the daemon's flags may be.
package values

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zonecache/cached/helm/schemas"
)

//go:generate go run ./write ../cached

// A document is values.schema.json without its definitions.
type document struct {
	Schema     string          `json:"$schema"`
	Title      string          `json:"title"`
	Type       string          `json:"type"`
	Open       bool            `json:"additionalProperties"`
	Required   []string        `json:"required"` // they have defaults: not taken away by null
	Properties json.RawMessage `json:"properties"`
}

// Make returns a schema of values with all definitions that its properties refer to.
// The one of the name "config" is config, the schema of the daemon's file.
func Make(schema, config []byte) ([]byte, error) {
	var doc document
	if err := json.Unmarshal(schema, &doc); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	api, err := schemas.Open("kubernetes-" + schemas.Kubernetes[len(schemas.Kubernetes)-1] + ".json")
	if err != nil {
		return nil, err
	}
	const root = "properties"
	api.Definitions["config"], api.Definitions[root] = config, doc.Properties
	definitions, err := schemas.Closure(api.Definitions, root)
	if err != nil {
		return nil, err
	}
	delete(definitions, root)

	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		lines = append(lines, fmt.Sprintf("    %q: %s", name, definitions[name]))
	}
	b.Truncate(b.Len() - len("\n}\n"))
	fmt.Fprintf(&b, ",\n  \"definitions\": {\n%s\n  }\n}\n", strings.Join(lines, ",\n"))
	return b.Bytes(), nil
}
