// Package readme makes the chart's README of the comments in its values.yaml.
package readme

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:generate go run ./write ../cached

// Make returns the README: head, and a table of all values.
func Make(head string, values []byte) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(values, &doc); err != nil {
		return "", err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return "", errors.New("values.yaml is no mapping")
	}
	var rows []string
	if err := table(&rows, "", doc.Content[0]); err != nil {
		return "", err
	}
	return strings.TrimRight(head, "\n") + "\n\n## Values\n\n| key | default | what it is |\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n", nil
}

// table adds a row for each value below a mapping. One with a comment is a row, however
// it goes on; one without is a row if it is no mapping.
func table(rows *[]string, path string, m *yaml.Node) error {
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		name := strings.TrimPrefix(path+"."+key.Value, ".")
		about := comment(key.HeadComment)
		open := value.Kind == yaml.MappingNode && len(value.Content) > 0
		if about != "" || !open {
			shown := ""
			if !open {
				text, err := flow(value)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				shown = "`" + text + "`"
			}
			*rows = append(*rows, fmt.Sprintf("| `%s` | %s | %s |", name, shown, about))
		}
		if open {
			if err := table(rows, name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// flow is a value on one line.
func flow(value *yaml.Node) (string, error) {
	v := *value
	v.HeadComment, v.LineComment, v.FootComment = "", "", ""
	v.Style |= yaml.FlowStyle
	text, err := yaml.Marshal(&v)
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "|", `\|`), err
}

var marks = regexp.MustCompile(`(?m)^#( --)?\s?`)

// comment is what follows "# -- " and the lines after it.
func comment(head string) string {
	_, about, ok := strings.Cut("\n"+head, "\n# -- ")
	if !ok {
		return ""
	}
	return strings.Join(strings.Fields(marks.ReplaceAllString(about, "")), " ")
}
