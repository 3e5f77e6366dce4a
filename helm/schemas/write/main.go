// Command write writes the sets of package schemas into a directory. It downloads the
// modules that they are made of.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/helm/schemas"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: write DIR")
	}
	var newest schemas.Set // for the metadata of others' kinds
	for _, source := range schemas.Sources() {
		dir, err := download(source)
		if err != nil {
			return err
		}
		var set schemas.Set
		if filepath.Ext(source.Files[0]) == ".json" {
			set, err = openAPI(filepath.Join(dir, source.Files[0]), source.Kinds)
			newest = set
		} else {
			set, err = customResources(dir, source.Files, newest)
		}
		if err != nil {
			return err
		}
		set.From = source.Module + "@" + source.Version
		if err := os.WriteFile(filepath.Join(args[0], source.Name), text(set), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// download returns the directory of a module's files.
func download(s schemas.Source) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", s.Module+"@"+s.Version)
	cmd.Dir = os.TempDir() // the module is none of this repository's
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	var said struct{ Dir string }
	err = json.Unmarshal(out, &said)
	return said.Dir, err
}

func openAPI(file string, kinds []string) (schemas.Set, error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return schemas.Set{}, err
	}
	var api struct {
		Definitions map[string]json.RawMessage `json:"definitions"`
	}
	if err := json.Unmarshal(doc, &api); err != nil {
		return schemas.Set{}, fmt.Errorf("%s: %w", file, err)
	}
	return schemas.Cut(api.Definitions, kinds)
}

// A definition is the part of a CustomResourceDefinition that matters here.
type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPI map[string]any `yaml:"openAPIV3Schema"`
			}
		}
	}
}

const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// customResources makes a set of definitions, whose objects have the metadata of core.
func customResources(dir string, files []string, core schemas.Set) (schemas.Set, error) {
	metadata, err := schemas.Closure(core.Definitions, objectMeta)
	s := schemas.Set{Kinds: map[string]string{}, Definitions: metadata}
	if err != nil {
		return s, err
	}
	for _, file := range files {
		doc, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return s, err
		}
		var d definition
		if err := yaml.Unmarshal(doc, &d); err != nil {
			return s, fmt.Errorf("%s: %w", file, err)
		}
		for _, v := range d.Spec.Versions {
			kind := d.Spec.Group + "/" + v.Name + " " + d.Spec.Names.Kind
			if properties, ok := v.Schema.OpenAPI["properties"].(map[string]any); ok {
				properties["metadata"] = map[string]any{"$ref": "#/definitions/" + objectMeta}
			}
			loose, err := json.Marshal(v.Schema.OpenAPI)
			if err != nil {
				return s, err
			}
			name := d.Spec.Names.Kind + "." + v.Name
			if s.Definitions[name], err = schemas.Strict(loose); err != nil {
				return s, err
			}
			s.Kinds[kind] = name
		}
	}
	return s, nil
}

// text is a set with a line for each definition.
func text(s schemas.Set) []byte {
	var b bytes.Buffer
	kinds, _ := json.Marshal(s.Kinds) // of strings
	fmt.Fprintf(&b, "{\n\"from\": %q,\n\"kinds\": %s,\n\"definitions\": {\n", s.From, kinds)
	names := slices.Sorted(maps.Keys(s.Definitions))
	for i, name := range names {
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		fmt.Fprintf(&b, "%q: %s%s\n", name, s.Definitions[name], comma)
	}
	b.WriteString("}\n}\n")
	return b.Bytes()
}
