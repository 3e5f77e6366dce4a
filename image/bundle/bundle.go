package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ErrNoCommand: nothing says what to run.
var ErrNoCommand = errors.New("no command to run")

// Options configure [New]. The zero value takes all from the image.
type Options struct {
	// Args replace the image's Cmd and follow its Entrypoint, as with docker run.
	Args []string
	// Entrypoint replaces the image's Entrypoint, and its Cmd, unless it is nil.
	Entrypoint []string
	// Env is put behind the image's environment; a variable that is in both has
	// the value given here. NAME=value.
	Env []string
	// Root is where the root file system is, absolute or relative to the bundle;
	// empty means "rootfs".
	Root string
	// ReadOnly: the root file system cannot be written to.
	ReadOnly bool
	// HostNetwork leaves the container in the host's network. Otherwise it has one
	// of its own, in which there is nobody else.
	HostNetwork bool
	// Hostname is the container's; empty means "cached".
	Hostname string
}

// A Bundle is what a runtime needs beside the root file system.
type Bundle struct {
	Spec *specs.Spec
	// Omitted are labels of the image that did not become annotations, because
	// a runtime obeys them.
	Omitted []string
}

// New converts the config of an image, JSON as its author wrote it, whose files
// are in root: os.OpenRoot of the mounted image, which knows owners, or the image
// itself. No config, as of an image published from a directory, is no error
// where opts say what to run.
func New(config []byte, root fs.FS, opts Options) (*Bundle, error) {
	b, err := convert(config, inside{root}, opts)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return b, nil
}

func convert(config []byte, root inside, opts Options) (*Bundle, error) {
	img, err := parseConfig(config)
	if err != nil {
		return nil, err
	}
	process, err := newProcess(img, root, opts)
	if err != nil {
		return nil, err
	}
	mounts, err := mountsOf(img, root, opts)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Spec: &specs.Spec{
		Version:  specVersion,
		Process:  process,
		Root:     &specs.Root{Path: opts.Root, Readonly: opts.ReadOnly},
		Hostname: opts.Hostname,
		Mounts:   mounts,
		Linux:    linuxDefaults(opts),
	}}
	if b.Spec.Root.Path == "" {
		b.Spec.Root.Path = "rootfs"
	}
	if b.Spec.Hostname == "" {
		b.Spec.Hostname = "cached"
	}
	b.Spec.Annotations, b.Omitted = img.annotations()
	return b, nil
}

// Write makes the folder dir unless it is there, and puts config.json into it, in
// place of one that may be there.
func (b *Bundle) Write(dir string) error {
	if err := b.write(dir); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

func (b *Bundle) write(dir string) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // people read it
	enc.SetIndent("", "\t")
	if err := enc.Encode(b.Spec); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".config.json-*")
	if err != nil {
		return err
	}
	_, err = f.Write(out.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, "config.json"))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
