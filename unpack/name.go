package unpack

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of Linux.
const (
	pathMax = 4096
	nameMax = 255
)

// cleanName returns the path of an entry beneath the directory, "." for itself.
func cleanName(name string) (string, error) {
	parts := strings.Split(name, "/")
	p := path.Clean(name)
	switch {
	case name == "":
		return "", malformed("an entry without a name")
	case strings.IndexByte(name, 0) >= 0:
		return "", malformed("a NUL in the name %q", short(name))
	case strings.HasPrefix(name, "/"):
		return "", malformed("the absolute name %q", short(name))
	case slices.Contains(parts, "..") || !filepath.IsLocal(p):
		return "", malformed("the name %q, which leads out", short(name))
	case len(p) >= pathMax || slices.ContainsFunc(parts, func(s string) bool { return len(s) > nameMax }):
		return "", malformed("the name %q, of %d bytes: too long", short(name), len(name))
	}
	return p, nil
}

// checkTarget says whether a symbolic link may be at name. Its target goes up first,
// no further than to the root, and then only down. Where it passes other links, each
// of them does so too; all lie in directories that are none; so no way leads out,
// whatever exists.
func checkTarget(name, target string) error {
	switch {
	case target == "" || len(target) >= pathMax || strings.IndexByte(target, 0) >= 0:
		return malformed("the symbolic link %q has no possible target", short(name))
	case strings.HasPrefix(target, "/"):
		return malformed("the symbolic link %q leads to the absolute %q", short(name), short(target))
	}
	ups, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if down {
				return malformed("the symbolic link %q leads to %q, with \"..\" behind a name", short(name), short(target))
			}
			ups++
		default:
			down = true
		}
	}
	if ups > strings.Count(name, "/") {
		return malformed("the symbolic link %q leads out, to %q", short(name), short(target))
	}
	return nil
}

// short is a name as it stands in errors.
func short(name string) string { return name[:min(len(name), 200)] }
