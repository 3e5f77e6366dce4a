package promtest

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Scale divides the times of a file of rules: the windows of its expressions, how long an
// alert has to hold, and how often groups are evaluated. Thresholds stay what they are, rates
// are by the second as before. By 300, five minutes are a second.
func Scale(rules []byte, by int64) ([]byte, error) {
	var file struct {
		Groups []map[string]any `yaml:"groups"`
	}
	if err := yaml.Unmarshal(rules, &file); err != nil {
		return nil, err
	}
	for _, group := range file.Groups {
		if err := scaleKey(group, "interval", by); err != nil {
			return nil, err
		}
		list, ok := group["rules"].([]any)
		if !ok {
			return nil, fmt.Errorf("promtest: group %v has no rules", group["name"])
		}
		for _, r := range list {
			rule, ok := r.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("promtest: %v is no rule", r)
			}
			for _, key := range []string{"for", "keep_firing_for"} {
				if err := scaleKey(rule, key, by); err != nil {
					return nil, err
				}
			}
			rule["expr"] = window.ReplaceAllStringFunc(fmt.Sprint(rule["expr"]), func(w string) string {
				d, err := scaled(w[1:len(w)-1], by)
				if err != nil {
					return w // Prometheus refuses what is no duration
				}
				return "[" + d + "]"
			})
		}
	}
	return yaml.Marshal(file)
}

var (
	window   = regexp.MustCompile(`\[[0-9]+(?:ms|[smhdw])\]`)
	duration = regexp.MustCompile(`^([0-9]+)(ms|[smhdw])$`)
	units    = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}
)

func scaleKey(of map[string]any, key string, by int64) error {
	value, ok := of[key]
	if !ok {
		return nil
	}
	d, err := scaled(fmt.Sprint(value), by)
	of[key] = d
	return err
}

// scaled is a duration of Prometheus, divided; at least 100 ms, below which it scrapes
// nothing twice.
func scaled(text string, by int64) (string, error) {
	m := duration.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("promtest: %q is not a number and a unit", text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return "", err
	}
	d := max(time.Duration(n)*units[m[2]]/time.Duration(by), 100*time.Millisecond)
	return fmt.Sprintf("%dms", d.Milliseconds()), nil
}
