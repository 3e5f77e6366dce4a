package images

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/zonecache/cached/internal/testtool/pin"
)

// An Image says what is in an image, how it is started, and when it has.
type Image struct {
	Name     string   // such as "flask"
	Tag      string   // "v1" or "v2"
	About    string   // one line for people
	Packages []string // Debian packages of the runtime layer, without what they depend on
	Rebuilt  string   // the package that differs between v1 and v2

	Entrypoint []string
	Cmd        []string
	Env        []string // "KEY=value"
	Dir        string   // working directory
	User       string   // "uid:gid"
	Ready      Ready
}

// Ready says how a started container tells that it serves. A container that
// prints ends by itself, one that answers does not.
type Ready struct {
	// Port is a TCP port. The container is ready when it answers GET / there with
	// status 200 and Text in the body. The environment variable PORT moves it.
	// Zero: ready when Text is on standard output.
	Port int
	Text string
}

// Start is the command line of the container.
func (i Image) Start() []string { return append(append([]string{}, i.Entrypoint...), i.Cmd...) }

// Ref is the name and the tag, "flask:v1".
func (i Image) Ref() string { return i.Name + ":" + i.Tag }

// Names lists what can be built, smallest first. Each has the tags v1 and v2.
func Names() []string {
	var names []string
	for _, r := range recipes() {
		names = append(names, r.Name)
	}
	return names
}

// Find returns the image with the name, "flask" or "flask:v2"; without a tag, v1.
func Find(name string) (Image, error) {
	r, err := find(name)
	return r.Image, err
}

func find(name string) (recipe, error) {
	base, tag, tagged := strings.Cut(name, ":")
	if !tagged {
		tag = "v1"
	}
	if tag != "v1" && tag != "v2" {
		return recipe{}, fmt.Errorf("images: %s: no tag %q; there are v1 and v2", name, tag)
	}
	for _, r := range recipes() {
		if r.Name == base {
			r.Tag = tag
			return r, nil
		}
	}
	return recipe{}, fmt.Errorf("images: no image %q; there are %s", base, strings.Join(Names(), ", "))
}

// Dir is where images are built and found unless somebody says otherwise:
// .cache/images in the repository.
func Dir() (string, error) {
	root, err := pin.Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, ".cache", "images"), nil
}
