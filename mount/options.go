package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Kind is how the image becomes a tree of files.
type Kind string

// The kinds.
const (
	Auto  Kind = "auto"  // the best that works: EROFS, Loop, Tree
	EROFS Kind = "erofs" // the kernel's EROFS, from the file (Linux 6.12)
	Loop  Kind = "loop"  // the kernel's EROFS, from a loop device over the file
	Tree  Kind = "fuse"  // a FUSE file system; needs neither EROFS nor root
	File  Kind = "file"  // no tree: the image as one file, for a virtual machine
)

// Kinds are all kinds.
var Kinds = [...]Kind{Auto, EROFS, Loop, Tree, File}

// ParseKind reads a kind's text.
func ParseKind(s string) (Kind, error) {
	for _, k := range Kinds {
		if s == string(k) {
			return k, nil
		}
	}
	return Auto, fmt.Errorf("%q: want auto, erofs, loop, fuse or file", s)
}

// Options configure [New]. Dir must be set.
type Options struct {
	Dir      string // where the tree appears; it must exist
	Image    string // the image's name, for people
	Manifest string // its id
	As       Kind   // "": Auto
	// Overlay is a directory that takes what is written; "": the tree is read-only.
	// The overlay's work directory is made beside it.
	Overlay string
	// State is where records and layers are kept; "": [DefaultState].
	State string
	// ReadAhead is how many bytes the kernel reads beyond what a program has asked
	// for, at most; 0: as many as it likes.
	ReadAhead int
	// Keep has the kernel keep the pages of an image when its mount is unmounted, see
	// [Kept]; nil: not. It does where the kernel's EROFS is mounted from the file.
	Keep *Keep
	// Ready is called when the tree is there, before anybody is told; nil: nothing is to
	// be done then. Its error undoes the mount.
	Ready  func() error
	Logger *slog.Logger // nil discards
}

func (o *Options) ready() error {
	if o.Ready == nil {
		return nil
	}
	return o.Ready()
}

// A Keep says for whom an image is kept, and for how long.
type Keep struct {
	Workload string // what runs in it
	For      string // a digest of who may have it
	Time     time.Duration
}

// DefaultState is /run/cached/mounts for root, and in the user's own runtime
// directory otherwise.
func DefaultState() string {
	if os.Geteuid() == 0 {
		return "/run/cached/mounts"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "cached", "mounts")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("cached-mounts-%d", os.Geteuid()))
}

// check makes the paths absolute and finds mistakes before anything is mounted.
func (o *Options) check() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.As == "" {
		o.As = Auto
	}
	if o.State == "" {
		o.State = DefaultState()
	}
	var err error
	if o.State, err = filepath.Abs(o.State); err != nil { // whoever keeps an image goes elsewhere
		return fmt.Errorf("mount: state: %w", err)
	}
	if o.Dir, err = place(o.Dir); err != nil {
		return err
	}
	if o.Overlay == "" {
		return nil
	}
	if o.As == File {
		return errors.New("mount: an image that is one file takes no overlay")
	}
	if os.Geteuid() != 0 {
		return errors.New("mount: an overlay needs root")
	}
	if err := os.MkdirAll(o.Overlay, 0o755); err != nil {
		return fmt.Errorf("mount: overlay: %w", err)
	}
	if o.Overlay, err = place(o.Overlay); err != nil {
		return err
	}
	if strings.ContainsAny(o.Overlay, ",:\\") {
		return fmt.Errorf("mount: overlay %q: the kernel takes no comma, colon or backslash there", o.Overlay)
	}
	if o.Overlay == o.Dir {
		return fmt.Errorf("mount: %s cannot be both the mount point and what takes its writes", o.Dir)
	}
	return nil
}

// place returns the real path of a directory that exists.
func place(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("mount: %s does not exist: mkdir -p %s", dir, dir)
	}
	if errors.Is(err, syscall.ENOTCONN) {
		return "", fmt.Errorf("mount: %s is the rest of a mount whose process has died: cached umount %s", dir, dir)
	}
	if err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	st, err := os.Stat(abs)
	if err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	if !st.IsDir() {
		return "", fmt.Errorf("mount: %s is not a directory", dir)
	}
	return abs, nil
}
