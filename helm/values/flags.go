package values

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FlagsFile is what the chart checks extraArgs and extraEnv by.
const FlagsFile = "flags.json"

// A setting is one of the schema of the daemon's file.
type setting struct {
	Properties  map[string]*setting `json:"properties,omitempty"`
	Flag        string              `json:"x-flag,omitempty"`
	Type        any                 `json:"type"`
	Items       *setting            `json:"items,omitempty"`
	Enum        []string            `json:"enum,omitempty"`
	Pattern     string              `json:"pattern,omitempty"`
	Minimum     *float64            `json:"minimum,omitempty"`
	Maximum     *float64            `json:"maximum,omitempty"`
	Description string              `json:"description,omitempty"`
}

// A flag is what the chart has to know of one of `cached serve`.
type flag struct {
	Key     string   `json:"key"`
	Type    string   `json:"type"`
	Enum    []string `json:"enum,omitempty"`
	Pattern string   `json:"pattern,omitempty"`
	Minimum *float64 `json:"minimum,omitempty"`
	Maximum *float64 `json:"maximum,omitempty"`
	What    string   `json:"what"`
}

// Flags returns the flags of `cached serve` by their names, one a line, as config, the
// schema of its file, has them.
func Flags(config []byte) ([]byte, error) {
	var root setting
	if err := json.Unmarshal(config, &root); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	flags := map[string]flag{}
	root.walk("", flags)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(flags[name]); err != nil {
			return nil, fmt.Errorf("values: --%s: %w", name, err)
		}
		lines = append(lines, fmt.Sprintf("  %q: %s", name, bytes.TrimSpace(b.Bytes())))
	}
	return fmt.Appendf(nil, "{\n%s\n}\n", strings.Join(lines, ",\n")), nil
}

func (s *setting) walk(key string, flags map[string]flag) {
	for name, p := range s.Properties {
		p.walk(strings.TrimPrefix(key+"."+name, "."), flags)
	}
	if s.Flag == "" {
		return
	}
	one := s
	if s.Items != nil {
		one = s.Items // a flag of a list is given once for each
	}
	kind, _ := one.Type.(string)
	if kind == "" {
		kind = "string" // a size
	}
	flags[s.Flag] = flag{Key: key, Type: kind, Enum: one.Enum, Pattern: one.Pattern, Minimum: one.Minimum, Maximum: one.Maximum, What: s.Description}
}
