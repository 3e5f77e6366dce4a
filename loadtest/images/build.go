package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/zonecache/cached/internal/testtool/pin"
)

// ErrUnable says that images cannot be built on this machine or by this user.
// The error that wraps it says what is missing.
var ErrUnable = errors.New("cannot build images here")

// Built is an image that lies on this machine.
type Built struct {
	Image
	Layout string  // directory of the OCI layout
	Layers []Layer // lowest first
	Found  bool    // it was there already
}

// Source is the image as `cached publish` and skopeo take it: oci:LAYOUT:TAG.
func (b Built) Source() string { return "oci:" + b.Layout + ":" + b.Tag }

// Progress is what a build does.
type Progress struct {
	Image string // "flask:v1"
	Layer string // "runtime"; empty: the image as a whole
	Doing string // "installing python3-flask gunicorn"
}

// Build returns the named image, such as "flask" or "flask:v2", and builds what
// of it dir lacks. Others who build in dir wait. Report hears what is done; nil
// is fine. A build that fails or is cancelled leaves nothing of what it did not
// finish, and ends what it started.
func Build(ctx context.Context, dir, name string, report func(Progress)) (Built, error) {
	r, err := find(name)
	if err != nil {
		return Built{}, err
	}
	return r.build(ctx, dir, report)
}

func (r recipe) build(ctx context.Context, dir string, report func(Progress)) (Built, error) {
	if report == nil {
		report = func(Progress) {}
	}
	built, err := r.buildIn(ctx, dir, report)
	if err != nil {
		return Built{}, fmt.Errorf("images: %s: %w", r.Ref(), err)
	}
	return built, nil
}

func (r recipe) buildIn(ctx context.Context, dir string, report func(Progress)) (Built, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Built{}, err
	}
	layers, err := r.layers()
	if err != nil {
		return Built{}, err
	}
	at, err := r.place(layers)
	if err != nil {
		return Built{}, err
	}
	at = filepath.Join(dir, at)
	if b, err := open(at, r.Image); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	b := builder{dir: dir, report: func(layer, doing string) { report(Progress{r.Ref(), layer, doing}) }}
	if err := b.begin(ctx); err != nil {
		return Built{}, err
	}
	defer b.end()
	// Somebody else may have built it meanwhile.
	if b, err := open(at, r.Image); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	var made []Layer
	for _, l := range layers {
		m, err := b.layer(ctx, l)
		if err != nil {
			return Built{}, fmt.Errorf("%s layer: %w", l.Name, err)
		}
		made = append(made, m)
	}
	b.report("", "writing the layout")
	if err := b.image(at, r.Image, made); err != nil {
		return Built{}, fmt.Errorf("write the layout: %w", err)
	}
	built, err := open(at, r.Image)
	built.Found = false
	return built, err
}

// place is the name of the image's directory.
func (r recipe) place(layers []layer) (string, error) {
	top, err := layers[len(layers)-1].key()
	if err != nil {
		return "", err
	}
	config, err := json.Marshal(r.Image)
	if err != nil {
		return "", err
	}
	return r.Name + "-" + r.Tag + "-" + digestOf(top, string(config)), nil
}

// record is the file beside an image's layout.
const record = "image.json"

func open(at string, i Image) (Built, error) {
	text, err := os.ReadFile(filepath.Join(at, record))
	if err != nil {
		return Built{}, err
	}
	b := Built{Image: i, Layout: filepath.Join(at, "oci"), Found: true}
	if err := json.Unmarshal(text, &b.Layers); err != nil {
		return Built{}, fmt.Errorf("%s: %w; delete the directory to have it built again", filepath.Join(at, record), err)
	}
	return b, nil
}

// A builder builds in a directory that it has for itself.
type builder struct {
	dir    string
	report func(layer, doing string)
	unlock func()
}

// workPrefix begins the names of what is not finished.
const workPrefix = ".work-"

func (b *builder) begin(ctx context.Context) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("%w: needs root, to mount overlays and to install packages into them", ErrUnable)
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	b.report("", "waiting for the directory")
	unlock, err := pin.Lock(ctx, filepath.Join(b.dir, ".lock"))
	if err != nil {
		return err
	}
	b.unlock = unlock
	// Whoever was killed could not clean up; nobody else works here now.
	left, err := filepath.Glob(filepath.Join(b.dir, workPrefix+"*"))
	for _, w := range left {
		err = errors.Join(err, os.RemoveAll(w))
	}
	if err == nil {
		err = b.probe(ctx)
	}
	if err != nil {
		unlock()
	}
	return err
}

// probe mounts an overlay as layers are built in, which some sandboxes and file
// systems do not allow to root either.
func (b *builder) probe(ctx context.Context) error {
	work, err := os.MkdirTemp(b.dir, workPrefix)
	if err != nil {
		return err
	}
	err = hidden(ctx, work, "lower=lower tree=upper work=. root=root; mkdir lower upper overlay root\n"+overlay)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: needs process namespaces and overlays on the file system of %s: %w", ErrUnable, b.dir, err)
	}
	return errors.Join(err, os.RemoveAll(work))
}

func (b *builder) end() { b.unlock() }

// inWork lets fill make work/out, which is there and empty, and when it succeeds
// renames that to at, which so appears whole or not at all.
func (b *builder) inWork(at string, fill func(work string) error) (err error) {
	work, err := os.MkdirTemp(b.dir, workPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	out := filepath.Join(work, "out")
	// The user that apt downloads as must get in.
	if err := errors.Join(os.Chmod(work, 0o755), os.Mkdir(out, 0o755)); err != nil {
		return err
	}
	if err := fill(work); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	// What stands there without a record is not an image or a layer.
	if err := os.RemoveAll(at); err != nil {
		return err
	}
	return os.Rename(out, at)
}

func (b *builder) relative(path string) string { return strings.TrimPrefix(path, b.dir+"/") }
