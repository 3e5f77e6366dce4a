package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The schema has the keys of the file, each where it stands, and no others.
func TestTheSchemaHasEveryKey(t *testing.T) {
	var text bytes.Buffer
	if err := printSchema(&text); err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text.Bytes(), &root); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, s *schema, tree map[string]any)
	compare = func(path string, s *schema, tree map[string]any) {
		if s.Open == nil || *s.Open {
			t.Errorf("%s allows any key", path)
		}
		for name := range s.Properties {
			if _, ok := tree[name]; !ok {
				t.Errorf("the file has no %s.%s", path, name)
			}
		}
		for name, v := range tree {
			p := s.Properties[name]
			if p == nil {
				t.Errorf("the schema has no %s.%s", path, name)
				continue
			}
			if below, ok := v.(map[string]any); ok {
				compare(path+"."+name, p, below)
			}
		}
	}
	compare("", &root, treeOf(Default()))
}
