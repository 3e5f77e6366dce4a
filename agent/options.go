package agent

import (
	"errors"
	"log/slog"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
)

// Defaults of [Options].
const (
	DefaultGrace    = 2 * time.Second
	DefaultDeadline = 30 * time.Second
	DefaultWindow   = 32 << 20
	DefaultAhead    = 32
)

// An Origin is where images are published, for when the daemon is away. Its blocks
// are verified here.
type Origin interface {
	block.Reader
	image.Index
}

// Options configure [Open]. Image must be set, and Daemon or Origin.
type Options struct {
	// Image is a name or a manifest id.
	Image string
	// Workload is the entrypoint or function that will run; starts of one workload
	// read the same blocks. May be empty.
	Workload string
	// ReadAhead tells the daemon what will be read.
	ReadAhead cachedv1.ReadAhead
	// PagesHeld says that the caller still has what earlier starts have read, for
	// example in the kernel's page cache: the daemon learns nothing from this one, and
	// what earlier ones have read is read ahead of it only when its program turns out to
	// miss it.
	PagesHeld bool
	// Daemon is the host's.
	Daemon *api.Client
	// Origin is read when the daemon is away; nil: reads fail then, after Deadline.
	Origin Origin
	// Grace is how long a daemon that is away is waited for before the origin is
	// asked; 0 means DefaultGrace.
	Grace time.Duration
	// Deadline is how long a read may take; 0 means DefaultDeadline. One near by that
	// comes soon after a read that failed for it has a fiftieth of that: the kernel asks
	// again for what it could not read.
	Deadline time.Duration
	// Window is how many bytes of decoded blocks are kept while the image is read; 0
	// means DefaultWindow. Half a minute after the last read none are.
	Window int64
	// Pool serves buffers for decoding, and is trimmed when nobody has read for a while;
	// nil means block.DefaultPool, which others use, too, and is not.
	Pool *block.Pool
	// Ahead is how many blocks are fetched ahead of a program at most; 0 means
	// DefaultAhead, negative none.
	Ahead int
	// Logger is told when the daemon is away and back, and of blocks that cannot be
	// had; nil discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Daemon == nil && o.Origin == nil {
		return o, errors.New("agent: neither a daemon nor an origin to read from")
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.Deadline <= 0 {
		o.Deadline = DefaultDeadline
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Ahead == 0 {
		o.Ahead = DefaultAhead
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
