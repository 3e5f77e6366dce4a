package pin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// rootModule names the module whose directory is the repository.
const rootModule = "github.com/zonecache/cached"

// modules are the directories, below the repository's, whose go.mod pins tools.
var modules = []string{".", "tools", "tools/kubernetes", "tools/apiserver", "tools/packages", "tools/load"}

// A Tool is one pinned program.
type Tool struct {
	Name    string // what the binary is called
	Package string // import path of its main package
	Module  string // module that holds the package
	Version string // the pinned version of that module
	Dir     string // directory of the go.mod that pins it
}

// Root returns the repository that holds the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("pin: find the repository: %w", err)
	}
	for from := dir; ; {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+rootModule+"\n") {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("pin: find the repository: %w", err)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("pin: find the repository: no go.mod of %s in %s or above it", rootModule, from)
		}
		dir = up
	}
}

// Tools returns every program pinned in the repository at root.
func Tools(root string) ([]Tool, error) {
	var all []Tool
	for _, dir := range modules {
		dir = filepath.Join(root, dir)
		file := filepath.Join(dir, "go.mod")
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("pin: read the pins: %w", err)
		}
		tools, err := parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("pin: read %s: %w", file, err)
		}
		for _, t := range tools {
			t.Dir = dir
			all = append(all, t)
		}
	}
	return all, nil
}

// parse reads the tool and require directives of a go.mod. It knows the form
// the go command itself writes, which is all that may stand there.
func parse(text string) ([]Tool, error) {
	versions := map[string]string{}
	var packages []string
	block := ""
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[1] == "(":
			block = f[0]
			continue
		case len(f) == 1 && f[0] == ")":
			block = ""
			continue
		case block != "":
			f = append([]string{block}, f...)
		}
		switch {
		case len(f) == 3 && f[0] == "require":
			versions[f[1]] = f[2]
		case len(f) == 2 && f[0] == "tool":
			packages = append(packages, f[1])
		}
	}
	tools := make([]Tool, 0, len(packages))
	for _, p := range packages {
		t := Tool{Name: name(p), Package: p}
		for m := p; m != "." && t.Module == ""; m = path.Dir(m) {
			if v, ok := versions[m]; ok {
				t.Module, t.Version = m, v
			}
		}
		if t.Module == "" {
			return nil, fmt.Errorf("tool %s: no required module holds it", p)
		}
		tools = append(tools, t)
	}
	return tools, nil
}

var major = regexp.MustCompile(`^v[0-9]+$`)

// name returns what the go command would call the binary of a main package.
func name(pkg string) string {
	if base := path.Base(pkg); !major.MatchString(base) {
		return base
	}
	return path.Base(path.Dir(pkg))
}
