package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/zonecache/cached/account"
)

// A schema is a JSON schema of draft 7, as far as the configuration file needs it.
type schema struct {
	Type        any                `json:"type"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	Not         *schema            `json:"not,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MaxItems    int                `json:"maxItems,omitempty"`
	UniqueItems bool               `json:"uniqueItems,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Open        *bool              `json:"additionalProperties,omitempty"`
	Description string             `json:"description,omitempty"`
	Flag        string             `json:"x-flag,omitempty"` // of the command line
}

// How the values of a flag's type are written in the file.
var schemaOfType = map[string]schema{
	"bool":        {Type: "boolean"},
	"int":         {Type: "integer"},
	"float64":     {Type: "number"},
	"string":      {Type: "string"},
	"stringArray": {Type: "array", Items: &schema{Type: "string"}},
	"size":        {Type: []string{"string", "integer"}, Minimum: new(float64), Pattern: `^[0-9]+(\.[0-9]+)?\s?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$`},
	"duration":    {Type: "string", Pattern: `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`},
}

const (
	addressPattern = `^(\[[^\[\]]*\]|[^:\[\]]*):[0-9]{1,5}$`
	pathPattern    = `^(/.*)?$`
	labelPattern   = `^[a-z0-9]([.]?[a-z0-9-])*[.]?$`
)

// narrow says of a setting what its type does not: what validate refuses by
// itself, as far as a schema can say it.
func (s *schema) narrow(key string) {
	s.Enum = wordsOf(key)
	between := func(least, most float64) { s.Minimum, s.Maximum = &least, &most }
	atLeast := func(least float64) { s.Minimum = &least }
	switch key {
	case "admin", "zone.peer-listen", "zone.gossip":
		s.Pattern = addressPattern
	case "listen", "zone.peer-advertise", "zone.gossip-advertise": // "" is none
		s.Pattern = strings.Replace(addressPattern, "^", "^$|^", 1)
	case "data-dir":
		s.Pattern = "^/"
	case "l2.dir", "socket.path", "tls.dir", "auth.tenants", "zone.tls", "zone.gossip-keys":
		s.Pattern = pathPattern
	case "socket.mode":
		s.Pattern = "^0*[0-7]{1,3}$"
	case "origins":
		s.Items.Pattern = "^(file|s3)://."
	case "tracing.endpoint":
		s.Pattern = "^(https?://[^/?#].*)?$"
	case "tracing.sample":
		between(0, 1)
	case "limits.origin-reads", "limits.in-flight", "zone.sends", "zone.sends-per-block":
		atLeast(1)
	case "zone.weight":
		between(0, maxWeight)
	case "zone.name":
		s.Pattern, s.MaxLength = "^$|"+labelPattern, maxLabel
	case "zone.node":
		s.Pattern, s.MaxLength = labelPattern, maxLabel
	case "metrics.tenants":
		s.Items.Pattern, s.Items.Not = ".", &schema{Type: "string", Enum: []string{account.OtherTenants}}
		s.MaxItems, s.UniqueItems = maxTenantSeries, true
	}
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
		s.Flag = f.Name
		if s.Items != nil {
			items := *s.Items
			s.Items = &items
		}
		s.narrow(key)
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
