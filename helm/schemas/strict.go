package schemas

import (
	"encoding/json"
	"strings"
)

// Strict returns a schema that allows no property it does not name, without what is
// for readers.
func Strict(text []byte) (json.RawMessage, error) {
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	return json.Marshal(strict(schema))
}

func strict(v any) any {
	schema, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if schema["format"] == "int-or-string" || schema["x-kubernetes-int-or-string"] == true {
		return map[string]any{"type": []string{"integer", "string"}} // the document says string
	}
	open := schema["x-kubernetes-preserve-unknown-fields"] == true || schema["additionalProperties"] != nil
	plain(schema)
	for key, value := range schema {
		switch key {
		case "properties":
			if properties, ok := value.(map[string]any); ok {
				for name, p := range properties {
					properties[name] = strict(p)
				}
			}
		case "items", "additionalProperties":
			schema[key] = strict(value)
		case "allOf", "anyOf", "oneOf": // which stay as open as they are: what they name is a part of what the schema around them names
			list, _ := value.([]any)
			for _, alternative := range list {
				if a, ok := alternative.(map[string]any); ok {
					plain(a)
				}
			}
		}
	}
	if schema["properties"] != nil && !open {
		schema["additionalProperties"] = false
	}
	return schema
}

// plain takes out of a schema what checks nothing.
func plain(schema map[string]any) {
	for key := range schema {
		switch {
		case key == "description", key == "default", key == "example", key == "externalDocs", strings.HasPrefix(key, "x-"):
			delete(schema, key)
		}
	}
}
