package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// A schema is a JSON schema of draft 7, as far as the configuration file needs it.
type schema struct {
	Type        any                `json:"type"`
	Pattern     string             `json:"pattern,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Open        *bool              `json:"additionalProperties,omitempty"`
	Description string             `json:"description,omitempty"`
}

// How the values of a flag's type are written in the file.
var schemaOfType = map[string]schema{
	"bool":        {Type: "boolean"},
	"int":         {Type: "integer"},
	"float64":     {Type: "number"},
	"string":      {Type: "string"},
	"stringArray": {Type: "array", Items: &schema{Type: "string"}},
	"size":        {Type: []string{"string", "integer"}, Pattern: `^[0-9]+(\.[0-9]+)?\s?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$`},
	"duration":    {Type: "string", Pattern: `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`},
}

func stanza() *schema {
	return &schema{Type: "object", Properties: map[string]*schema{}, Open: new(bool)}
}

func printSchema(w io.Writer) error {
	flags, err := flagsByKey()
	if err != nil {
		return err
	}
	root := stanza()
	for key, f := range flags {
		s, ok := schemaOfType[f.Value.Type()]
		if !ok {
			return fmt.Errorf("--%s: there is no schema for the type %s", f.Name, f.Value.Type())
		}
		_, s.Description = pflag.UnquoteUsage(f)
		at, path := root, strings.Split(key, ".")
		for _, name := range path[:len(path)-1] {
			if at.Properties[name] == nil {
				at.Properties[name] = stanza()
			}
			at = at.Properties[name]
		}
		at.Properties[path[len(path)-1]] = &s
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(root)
}
