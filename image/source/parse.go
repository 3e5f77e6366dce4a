package source

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/zonecache/cached/image"
)

// Kinds is the help text of all kinds of source, one per line.
const Kinds = `dir:PATH              a directory
tar:FILE              a tar archive, plain, gzip or zstd
oci:LAYOUT[:TAG]      a folder in OCI image layout
oci-archive:FILE      an OCI image layout in a tar archive
docker-archive:FILE   an archive written by docker save
docker://REF          an image in a registry
file:PATH             any bytes, such as a virtual machine's memory`

// Options configure [Parse]. The zero value is ready for use.
type Options struct {
	// Platform, as os/arch[/variant], chooses from images for several; empty means
	// Linux on this machine's architecture.
	Platform string
	// PlainHTTP allows registries without TLS beyond this machine.
	PlainHTTP bool
	// SpoolDir is where layers are unpacked; empty means os.TempDir().
	SpoolDir string
	// Keychain has the credentials for registries; nil means Docker's and Podman's
	// configuration files and their helpers.
	Keychain authn.Keychain
	// Logger hears what was left out of an image; nil discards.
	Logger *slog.Logger
}

// settings are Options after they were checked.
type settings struct {
	Options
	platform v1.Platform
	explicit bool // the user named the platform
}

// Parse returns the source that spec names. Paths must exist; registries are not
// asked before Open.
func Parse(spec string, opts Options) (image.Source, error) {
	set, err := check(opts)
	if err != nil {
		return nil, err
	}
	if ref, ok := strings.CutPrefix(spec, "docker://"); ok {
		return parseRegistry(ref, set)
	}
	kind, path, ok := strings.Cut(spec, ":")
	if !ok || path == "" {
		return nil, fmt.Errorf("source %q: want KIND:WHERE, one of\n%s", spec, Kinds)
	}
	var src image.Source
	switch kind {
	case "dir":
		src, err = dirSource{path, set}, wantDir(path)
	case "tar":
		src, err = tarSource{path, set}, wantFile(path)
	case "file":
		src, err = fileSource{path}, wantFile(path)
	case "oci":
		src, err = parseLayout(path, set)
	case "oci-archive":
		src, err = archiveSource{path, set}, wantFile(path)
	case "docker-archive":
		src, err = dockerSource{path, set}, wantFile(path)
	default:
		err = fmt.Errorf("unknown kind %q, want one of\n%s", kind, Kinds)
	}
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", spec, err)
	}
	return src, nil
}

func check(opts Options) (settings, error) {
	set := settings{Options: opts, platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	if set.Logger == nil {
		set.Logger = slog.New(slog.DiscardHandler)
	}
	if set.Keychain == nil {
		set.Keychain = authn.DefaultKeychain
	}
	if opts.Platform == "" {
		return set, nil
	}
	parts := strings.Split(opts.Platform, "/")
	if len(parts) < 2 || len(parts) > 3 || strings.Contains(opts.Platform, "//") || strings.HasSuffix(opts.Platform, "/") || strings.HasPrefix(opts.Platform, "/") {
		return set, fmt.Errorf("platform %q: want os/arch or os/arch/variant, such as linux/arm64", opts.Platform)
	}
	set.platform, set.explicit = v1.Platform{OS: parts[0], Architecture: parts[1]}, true
	if len(parts) == 3 {
		set.platform.Variant = parts[2]
	}
	return set, nil
}

func wantDir(path string) error {
	fi, err := os.Stat(path)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is not a directory", path)
	}
	return err
}

func wantFile(path string) error {
	fi, err := os.Stat(path)
	if err == nil && fi.IsDir() {
		err = fmt.Errorf("%s is a directory", path)
	}
	return err
}

// parseLayout tells the tag from a path that may hold colons itself.
func parseLayout(spec string, set settings) (image.Source, error) {
	path, tag := spec, ""
	if _, err := os.Stat(path); err != nil {
		if i := strings.LastIndexByte(spec, ':'); i > 0 {
			path, tag = spec[:i], spec[i+1:]
		}
	}
	if err := wantDir(path); err != nil {
		return nil, err
	}
	if err := wantFile(filepath.Join(path, "index.json")); err != nil {
		return nil, fmt.Errorf("%s is not an OCI image layout: %w", path, err)
	}
	return layoutSource{path, tag, set}, nil
}

func parseRegistry(ref string, set settings) (image.Source, error) {
	var opts []name.Option
	if set.PlainHTTP {
		opts = append(opts, name.Insecure)
	}
	r, err := name.ParseReference(ref, opts...)
	if err != nil {
		return nil, fmt.Errorf("source \"docker://%s\": %w", ref, err)
	}
	return registrySource{r, set}, nil
}
