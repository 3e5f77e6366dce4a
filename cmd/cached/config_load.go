package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// A misconfiguration is all that is wrong with a configuration, a line for each.
type misconfiguration []string

// Error implements [error].
func (m misconfiguration) Error() string { return "config: " + strings.Join(m, "\nconfig: ") }

// err is nil where nothing is wrong.
func (m misconfiguration) err() error {
	if len(m) == 0 {
		return nil
	}
	return m
}

// What a setting of a type takes, with an example. Sizes say it themselves.
var accepted = map[string]string{
	"bool":        "true or false",
	"duration":    "a duration such as 1.5s, 2m or 1h",
	"float64":     "a number such as 0.01",
	"int":         "a whole number such as 64",
	"string":      "one text",
	"stringArray": "a list such as [a, b]",
}

// valueProblem says what a setting, by its key or flag, was given instead of what it takes.
func valueProblem(name string, f *pflag.Flag, text string, err error) string {
	if want, ok := accepted[f.Value.Type()]; ok {
		return fmt.Sprintf("%s: %q, want %s", name, text, want)
	}
	return fmt.Sprintf("%s: %v", name, err)
}

// An asGiven is a setting as it stands on the command line: loadConfig reads it with all
// others, so that whatever is wrong with them is told at once.
type asGiven struct {
	pflag.Value
	text  string
	given bool
}

// Set implements [pflag.Value].
func (a *asGiven) Set(text string) error {
	a.text, a.given = text, true
	return nil
}

// String implements [pflag.Value].
func (a *asGiven) String() string {
	if a.given {
		return a.text
	}
	return a.Value.String()
}

// addSettings adds the flags of bind, which take any text.
func addSettings(fs *pflag.FlagSet, bind func(*pflag.FlagSet, *Config)) {
	shown := Default()
	settings := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	bind(settings, &shown)
	settings.VisitAll(func(f *pflag.Flag) {
		if _, list := f.Value.(pflag.SliceValue); !list {
			f.Value = &asGiven{Value: f.Value}
		}
		fs.AddFlag(f)
	})
}

// Whence is where the values of settings are from, by key, as their user would look for it.
type whence map[string]string

// add says of a problem, which begins with the key, where its value is from.
func (w whence) add(problem string) string {
	key, _, _ := strings.Cut(problem, ":")
	if from, ok := w[key]; ok {
		return problem + " (" + from + ")"
	}
	return problem
}

// whenceOf looks where the settings are from: file, environment or flags, later ones win.
func whenceOf(file string, doc []byte, env func(string) (string, bool), given *pflag.FlagSet) whence {
	w := whence{}
	for key, node := range nodesOf(doc) {
		w[key] = fmt.Sprintf("line %d of %s", node.Line, file)
	}
	flags, err := flagsByKey()
	if err != nil {
		return w
	}
	for key, f := range flags {
		if v, ok := env(envName(f)); ok && v != "" {
			w[key] = "environment " + envName(f)
		}
		if g := given.Lookup(f.Name); g != nil && g.Changed {
			w[key] = "flag --" + f.Name
		}
	}
	return w
}

// nodesOf are the keys of a document, those of stanzas included.
func nodesOf(doc []byte) map[string]*yaml.Node {
	var root yaml.Node
	nodes := map[string]*yaml.Node{}
	if err := yaml.Unmarshal(doc, &root); err != nil || len(root.Content) == 0 {
		return nodes
	}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		nodes[path] = n
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			walk(strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
		}
	}
	walk("", root.Content[0])
	return nodes
}

// mergeYAML sets the fields that the document names. Unknown keys are errors, and so
// is a second document, which nobody would read.
func (c *Config) mergeYAML(doc []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	err := dec.Decode(c)
	var wrong []located
	if types, ok := errors.AsType[*yaml.TypeError](err); ok {
		wrong = explainTypes(doc, types)
	} else if errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	if second := secondDocument(dec); second != nil {
		wrong = append(wrong, *second)
	}
	slices.SortStableFunc(wrong, func(a, b located) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(wrong))
	for i, l := range wrong {
		errs[i] = fmt.Errorf("line %d: %s", l.line, l.text)
	}
	return errors.Join(errs...)
}

// A located problem is one of a line of the file.
type located struct {
	line int
	text string
}

// secondDocument says where another document begins that has anything in it.
func secondDocument(dec *yaml.Decoder) *located {
	for {
		var next yaml.Node
		switch err := dec.Decode(&next); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &located{0, err.Error()}
		case len(next.Content) == 0 || next.Content[0].Tag == "!!null":
			continue
		}
		return &located{next.Content[0].Line, "a second document begins here (---), of which nothing would be read: put all into the first"}
	}
}

// explainTypes says of all keys which have values that are none of theirs, and what
// they take.
func explainTypes(doc []byte, types *yaml.TypeError) []located {
	flags, err := flagsByKey()
	if err != nil {
		flags = nil // what the library says must do
	}
	var values, others []located
	for key, node := range nodesOf(doc) {
		if node.ShortTag() == "!!null" { // as if it were not there
			continue
		}
		if f, ok := flags[key]; ok {
			if err := decodes(f.Value.Type(), node); err != nil {
				values = append(values, located{node.Line, valueProblem(key, f, textOf(node), err)})
			}
		} else if isStanza(flags, key) && textOf(node) != aMapping {
			values = append(values, located{node.Line, fmt.Sprintf("%s: %q, want keys and their values", cmp.Or(key, "the file"), textOf(node))})
		}
	}
	for _, text := range types.Errors {
		ofKey := strings.Contains(text, "not found in type") || strings.Contains(text, "already defined")
		if !ofKey && len(values) > 0 {
			continue // it is among them
		}
		l := located{text: text}
		if _, err := fmt.Sscanf(text, "line %d:", &l.line); err == nil {
			_, l.text, _ = strings.Cut(text, ": ")
		}
		l.text = keysNotTypes.Replace(l.text)
		others = append(others, l)
	}
	return append(others, values...)
}

// keysNotTypes has the library speak of the file instead of our types.
var keysNotTypes = strings.NewReplacer(
	" not found in type ", " is not a key of ",
	"field ", "",
	"main.Config", "the configuration", "main.L1Config", "l1", "main.L2Config", "l2",
	"main.ZoneConfig", "zone", "main.SocketConfig", "socket", "main.TLSConfig", "tls", "main.AuthConfig", "auth", "main.Limits", "limits", "main.Metrics", "metrics", "main.Tracing", "tracing", "main.Log", "log", "main.Shutdown", "shutdown",
)

// isStanza reports whether a key has settings below it; "" is the whole file.
func isStanza(flags map[string]*pflag.Flag, key string) bool {
	for k := range flags {
		if key == "" || strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// decodes reports what is wrong with the value of a key of a flag's type.
func decodes(kind string, node *yaml.Node) error {
	switch kind {
	case "bool":
		return node.Decode(new(bool))
	case "duration":
		return node.Decode(new(time.Duration))
	case "float64":
		return node.Decode(new(float64))
	case "int":
		return node.Decode(new(int))
	case "size":
		return new(Size).Set(textOf(node))
	case "stringArray":
		return node.Decode(new([]string))
	}
	return node.Decode(new(string))
}

const aMapping = "{...}"

// textOf is a value as it is quoted.
func textOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.AliasNode:
		return textOf(node.Alias)
	case yaml.MappingNode:
		return aMapping
	case yaml.SequenceNode:
		return "[...]"
	}
	return node.Value
}
