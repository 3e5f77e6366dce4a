package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/tiers/origin"
)

// finer is why the binary refuses of a setting what the schema takes: what a pattern
// cannot say. The chart says most of it in a template (helm/cached/templates/_settings.tpl).
var finer = map[string]string{
	"l1.size":           "is too small|of memory that this machine has",
	"l2.size":           "is too small",
	"listen":            `"" is not host:port`, // which is none, where there is a socket
	"origins":           "Bucket name|neither endpoint= nor region=",
	"zone.gossip":       "want IP:PORT",
	"zone.peer-budget":  "want at least 10ms",
	"zone.peer-silence": "no more than zone.peer-budget",
	"zone.sends":        "no more of one block than in all",
}

// What the schema of the file allows the binary takes, and what the binary refuses of
// one setting by itself the schema refuses, so that the chart does.
func TestTheSchemaAgreesWithTheBinary(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIASCHEMATESTONLY00")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-only/of/no/account/at/all")
	var text bytes.Buffer
	if err := printSchema(&text); err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text.Bytes(), &root); err != nil {
		t.Fatal(err)
	}
	var many []any
	for i := range maxTenantSeries + 1 {
		many = append(many, fmt.Sprintf("t%d", i))
	}
	values := []any{true, -1, 0, 1, 77, 0.5, 1.5, 1_000_000, 1_000_001, []any{}, []any{""}, []any{"other"}, []any{"a", "a"}, []any{"gs://x"}, []any{"s3://b"}, []any{"s3://images"}, []any{"file:///x"}, []any{"x"}, many, many[1:]}
	for text := range strings.FieldsSeq(`loud debug info INFO text json redirect tree hot second always
		/x x 0660 0888 660 7777 h:1 h :7070 10.0.0.1:7070 [::1]:70 ::1:70 a:b:1 [h]:x s3://b http://h:4318 ftp://x https://
		z1 Z1 a_b a.b a..b .a -a a- a. 5s 5ms 1h 1y -5s 1GiB 9000TiB -1GiB lots
		` + strings.Repeat("a", maxLabel) + " " + strings.Repeat("a", maxLabel+1)) {
		values = append(values, text)
	}
	values = append(values, "")
	flags, err := flagsByKey()
	if err != nil {
		t.Fatal(err)
	}
	asked, refused, seen := 0, 0, map[string]bool{}
	for key := range flags {
		leaf := &root
		for name := range strings.SplitSeq(key, ".") {
			leaf = leaf.Properties[name]
		}
		for _, v := range values {
			asked++
			err, allowed := takes(t, key, v), leaf.allows(v)
			if err != nil {
				refused++
			}
			switch {
			case allowed && err != nil && finer[key] != "" && regexp.MustCompile(finer[key]).MatchString(err.Error()):
				seen[key] = true
			case allowed && err != nil:
				t.Errorf("%s=%v: the schema takes it, the binary says %v", key, v, err)
			case !allowed && err == nil && !looser(leaf, v):
				t.Errorf("%s=%v: the binary takes it, the schema does not", key, v)
			}
		}
	}
	if refused < asked/3 || refused == asked || len(seen) != len(finer) {
		t.Errorf("of %d values %d are refused, of these finer than by the schema those of %v", asked, refused, seen)
	}
}

// looser reports whether YAML makes of v what the schema wants to have written otherwise:
// a number for a text, a text for a list of one.
func looser(s *schema, v any) bool {
	switch v.(type) {
	case bool, int, float64:
		return fmt.Sprint(s.Type) != "boolean"
	}
	return false
}

// takes returns what the binary says of a file with this one setting that concerns it.
func takes(t *testing.T, key string, v any) error {
	t.Helper()
	for _, name := range slices.Backward(strings.Split(key, ".")) {
		v = map[string]any{name: v}
	}
	doc, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.DataDir, c.Insecure, c.InsecureAdmin, c.Zone.Insecure, c.Zone.Name, c.Zone.Node = "/data", true, true, true, "z1", "n1"
	if err := yaml.Unmarshal(doc, &c); err != nil { // mergeYAML explains each at length
		return err
	}
	if key == "zone.name" && c.Zone.Name == "" {
		return nil
	}
	for _, line := range c.validate() {
		if strings.HasPrefix(line, key+": ") && !strings.Contains(line, "is taken by") { // which is of two settings
			return errors.New(line)
		}
	}
	if key != "origins" || len(c.Origins) == 0 {
		return nil
	}
	return withOrigin(t.Context(), c, func(*origin.Origin) error { return nil })
}

// allows reports whether v is what s says, as far as the schemas of settings go.
func (s *schema) allows(v any) bool {
	text, isText := v.(string)
	isType := func(name string) bool {
		switch v := v.(type) {
		case string:
			return name == "string"
		case bool:
			return name == "boolean"
		case int:
			return name == "integer" || name == "number"
		case float64:
			return name == "number"
		case []any:
			return name == "array" && (s.MaxItems == 0 || len(v) <= s.MaxItems) &&
				!slices.ContainsFunc(v, func(item any) bool { return !s.Items.allows(item) }) &&
				(!s.UniqueItems || len(v) < 2 || v[0] != v[1])
		}
		return false
	}
	types, several := s.Type.([]any)
	if !several {
		types = []any{s.Type}
	}
	if !slices.ContainsFunc(types, func(name any) bool { return isType(fmt.Sprint(name)) }) {
		return false
	}
	if isText && (s.Enum != nil && !slices.Contains(s.Enum, text) || !regexp.MustCompile(s.Pattern).MatchString(text) ||
		s.MaxLength > 0 && len(text) > s.MaxLength || s.Not != nil && s.Not.allows(v)) {
		return false
	}
	var number float64
	switch v := v.(type) {
	case int:
		number = float64(v)
	case float64:
		number = v
	default:
		return true
	}
	return (s.Minimum == nil || number >= *s.Minimum) && (s.Maximum == nil || number <= *s.Maximum)
}
