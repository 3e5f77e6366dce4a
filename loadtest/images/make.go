package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/testtool"
)

// epoch is the time of what a build itself writes, and of the image.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// The files of a layer's directory.
const (
	treeDir   = "tree" // the unpacked layer, with whiteouts as overlayfs has them
	archive   = "layer.tar.gz"
	layerFile = "layer.json"
)

func (b *builder) layerDir(key string) string { return filepath.Join(b.dir, "layers", key) }

// layer returns the layer and builds it, and what it needs, where it is not there.
func (b *builder) layer(ctx context.Context, l layer) (Layer, error) {
	key, err := l.key()
	if err != nil {
		return Layer{}, err
	}
	at := b.layerDir(key)
	var made Layer
	text, err := os.ReadFile(filepath.Join(at, layerFile))
	if err == nil {
		return made, json.Unmarshal(text, &made)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return made, err
	}
	var below []string
	for _, under := range l.below() {
		m, err := b.layer(ctx, under)
		if err != nil {
			return made, err
		}
		below = append(below, filepath.Join(b.layerDir(m.Key), treeDir))
	}
	changes := ""
	if l.Changes != nil {
		m, err := b.layer(ctx, *l.Changes)
		if err != nil {
			return made, err
		}
		changes = filepath.Join(b.layerDir(m.Key), treeDir)
	}
	err = b.inWork(at, func(work string) error {
		out := filepath.Join(work, "out")
		if err := b.fill(ctx, l, fillArgs{work: work, tree: filepath.Join(out, treeDir), below: below, changes: changes}); err != nil {
			return err
		}
		b.report(l.Name, "packing")
		if made, err = pack(ctx, filepath.Join(out, treeDir), below, filepath.Join(out, archive)); err != nil {
			return fmt.Errorf("pack: %w", err)
		}
		made.Name, made.Key = l.Name, key
		if !l.stacked() {
			if err := os.RemoveAll(filepath.Join(out, treeDir)); err != nil {
				return err
			}
		}
		return writeJSON(filepath.Join(out, layerFile), made)
	})
	return made, err
}

// fillArgs are the directories that a layer is made from and in.
type fillArgs struct {
	work, tree string
	below      []string
	changes    string
}

// fill makes the unpacked layer.
func (b *builder) fill(ctx context.Context, l layer, a fillArgs) error {
	// File systems stamp with a clock that is some milliseconds behind.
	since := time.Now().Add(-2 * time.Second)
	if err := makeDir(a.tree); err != nil {
		return err
	}
	if l.Changes != nil {
		b.report(l.Name, "copying the first version's files")
		if err := hidden(ctx, a.work, `cp -a --reflink=auto "$1/." "$2"`, a.changes, a.tree); err != nil {
			return fmt.Errorf("copy the first version: %w", err)
		}
	}
	if l.Variant != "" {
		b.report(l.Name, "unpacking "+l.Variant+" "+strings.Join(l.Packages, " "))
		if err := b.unpack(ctx, l, a); err != nil {
			return fmt.Errorf("mmdebstrap: %w", err)
		}
	}
	if err := writeFiles(a.tree, l.Files); err != nil {
		return err
	}
	if l.Script != "" {
		b.report(l.Name, l.Doing)
		// Relative, since a path may hold what separates overlayfs' options.
		var lower []string
		for _, dir := range a.below {
			lower = append(lower, filepath.Join("..", b.relative(dir)))
		}
		if err := hidden(ctx, a.work, inRoot, "out/"+treeDir, ".", strings.Join(lower, ":"), l.Script, l.Shell); err != nil {
			return fmt.Errorf("script: %w", err)
		}
	}
	return settle(a.tree, since)
}

func (b *builder) unpack(ctx context.Context, l layer, a fillArgs) error {
	if _, err := testtool.Install("mmdebstrap"); err != nil {
		return fmt.Errorf("%w: %w", ErrUnable, err)
	}
	args := []string{"out/" + treeDir, l.Variant, suite, strings.Join(l.Packages, ","), strconv.FormatInt(epoch.Unix(), 10)}
	for _, p := range l.Exclude {
		args = append(args, "--dpkgopt=path-exclude="+p)
	}
	if len(l.Exclude) > 0 {
		args = append(args, "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=path-include=/usr/share/locale/locale.alias")
	}
	if err := hidden(ctx, a.work, unpackPackages, args...); err != nil {
		return err
	}
	if l.On != nil {
		return nil
	}
	// What scripts and runtimes mount upon.
	for _, d := range []string{"dev", "etc", "proc", "root", "run", "sys", "tmp"} {
		if err := makeDir(filepath.Join(a.tree, d)); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(a.tree, "tmp"), 0o777|os.ModeSticky)
}

func writeFiles(tree string, files map[string]string) error {
	for name, text := range files {
		at := tree
		for part := range strings.SplitSeq(filepath.Dir(name), "/") {
			at = filepath.Join(at, part)
			if err := makeDir(at); err != nil {
				return err
			}
		}
		at = filepath.Join(tree, name)
		if err := errors.Join(os.WriteFile(at, []byte(text), 0o644), os.Chmod(at, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes the directory where it is not there yet, with a mode that is not
// up to the caller's umask.
func makeDir(at string) error {
	if err := os.Mkdir(at, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(at, 0o755)
}

// settle gives what was written since then the one time of all builds. Layers
// above see it: a directory keeps its time when an overlay copies it up.
func settle(tree string, since time.Time) error {
	at := []unix.Timespec{{Sec: epoch.Unix()}, {Sec: epoch.Unix()}}
	return filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.ModTime().Before(since) {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, at, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// digestOf is a short name of parts.
func digestOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}
