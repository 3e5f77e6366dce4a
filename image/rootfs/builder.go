package rootfs

import (
	"errors"
	"fmt"
	"log/slog"
)

var (
	// ErrMalformed: a layer is not a tar archive that can be applied: cut off,
	// damaged, or with an entry that no runtime would accept.
	ErrMalformed = errors.New("malformed layer")
	// ErrChanged: a source file changed or vanished while the image was made.
	ErrChanged = errors.New("source changed while being read")
	// ErrUnsupported: the tree holds something that EROFS cannot.
	ErrUnsupported = errors.New("not representable in the image")
)

// Ownership says whose the files of a directory source are. Layers always keep
// their numeric owners.
type Ownership uint8

const (
	// KeepOwner keeps the numeric owner and group that the files have.
	KeepOwner Ownership = iota
	// RootOwner gives everything to 0:0, so that a tree which was checked out
	// or unpacked by different users makes the same image.
	RootOwner
)

// An EndMark says whether a tar archive must end with blocks of zeros.
type EndMark uint8

const (
	// EndMarkRequired refuses an archive without it: one that is cut off between
	// two entries looks like a whole one otherwise, and files would be missing.
	EndMarkRequired EndMark = iota
	// EndMarkOptional takes it for whole. It is for archives whose digest the
	// caller checks; umoci and others write layers without the mark.
	EndMarkOptional
)

// Options configure a Builder. The zero value is usable.
type Options struct {
	// SpoolDir is the folder for the spool of layer contents; it needs room for
	// the uncompressed layers. Empty means os.TempDir().
	SpoolDir string
	// Owner applies to AddDir.
	Owner Ownership
	// EndMark applies to AddTar.
	EndMark EndMark
	// Logger hears about what was left out of the image; nil discards.
	Logger *slog.Logger
}

// Stats count what an image holds.
type Stats struct {
	Layers   int   // AddTar and AddDir calls
	Files    int   // regular files (inodes)
	Dirs     int   // directories, the root included
	Symlinks int   // symbolic links
	Specials int   // device nodes and fifos
	Links    int   // further names of files that have several
	Bytes    int64 // content of the regular files, holes included
	Holes    int64 // bytes of that which are holes and take no room
	Metadata int64 // bytes of the image before the first file's content
	// Left out, because an image cannot or should not hold them.
	SkippedSockets int
	SkippedXattrs  int // names outside user., trusted., security. and POSIX ACLs; from directories also host labels
	SkippedEntries int // AUFS bookkeeping entries of layers
}

// A Builder collects layers. See the package comment for ownership.
type Builder struct {
	opts  Options
	log   *slog.Logger
	tree  tree
	spool *spool
	// sources[i] is where inodes with source i find their content; 0 is the spool.
	sources []source
	stats   Stats
	err     error // the first failure; a half-applied layer must not become an image
	done    bool
}

// NewBuilder returns an empty Builder, whose tree is a root directory. Close it.
func NewBuilder(opts Options) (*Builder, error) {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	switch opts.Owner {
	case KeepOwner, RootOwner:
	default:
		return nil, fmt.Errorf("rootfs: unknown ownership %d", opts.Owner)
	}
	sp, err := newSpool(opts.SpoolDir)
	if err != nil {
		return nil, fmt.Errorf("rootfs: %w", err)
	}
	b := &Builder{opts: opts, log: log, spool: sp, sources: []source{sp}}
	b.tree.init()
	return b, nil
}

// begin opens the next layer.
func (b *Builder) begin() error {
	switch {
	case b.err != nil:
		return b.err
	case b.done:
		return errors.New("rootfs: layer added to a finished image")
	}
	b.tree.layer++
	b.stats.Layers++
	return nil
}

// fail remembers err as the reason this Builder can make no image.
func (b *Builder) fail(err error) error {
	b.err = fmt.Errorf("rootfs: layer %d: %w", b.stats.Layers, err)
	return b.err
}

// Close removes the spool. Images of this Builder cannot be streamed afterwards.
func (b *Builder) Close() error {
	if b.err == nil {
		b.err = errors.New("rootfs: builder is closed")
	}
	return b.spool.close()
}
