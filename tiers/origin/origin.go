package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/zonecache/cached/block"
)

// Options configure [Open]. The zero value is ready for use.
type Options struct {
	// Pool serves the buffers of blocks; nil means block.DefaultPool.
	Pool *block.Pool
	// Logger is told when an origin fails and when it is back; nil discards.
	Logger *slog.Logger
	// Observe is called after each request to a medium, failed ones included,
	// with one of Ops and the bytes of content that were moved. It must be quick.
	Observe func(op string, bytes int64)
	// Wrap decorates the reader of each single origin, below the fail-over. A
	// wrapper that turns wrong bytes into ErrCorrupt makes the read go on to the
	// next origin. name is the origin's URL without parameters of access.
	Wrap func(name string, r block.Reader) block.Reader
	// Timeouts bound the requests to a bucket; zero fields take the defaults.
	Timeouts Timeouts
}

// Timeouts bound the requests to a bucket.
type Timeouts struct {
	Dial  time.Duration // to connect and for the TLS handshake each; default 3 s
	Stall time.Duration // an attempt that moves no byte for so long is given up; default 10 s
	Total time.Duration // for one object with all attempts; default 60 s
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Dial, 3*time.Second)
	set(&t.Stall, 10*time.Second)
	set(&t.Total, time.Minute)
	return t
}

// An Origin is one or more places where images are published, in order of
// preference.
type Origin struct {
	singles  []*Single
	failover failover
	log      *slog.Logger
}

var _ block.Reader = (*Origin)(nil)

// Open prepares the origins that urls name. It asks nothing of them: an origin
// that cannot be reached is no error here but in [Origin.Check] and in reads.
// What can be known at once is an error: a malformed URL, a certificate or
// credentials file that cannot be read. No error holds a credential.
func Open(ctx context.Context, urls []string, opts Options) (*Origin, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("origin: open: %w", err)
	}
	if len(urls) == 0 {
		return nil, errors.New("origin: open: no URL given")
	}
	if opts.Pool == nil {
		opts.Pool = block.DefaultPool
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Observe == nil {
		opts.Observe = func(string, int64) {}
	}
	opts.Timeouts = opts.Timeouts.withDefaults()

	o := &Origin{log: opts.Logger}
	o.failover.log = opts.Logger
	for i, u := range urls {
		s, err := openSingle(u, opts)
		if err == nil && slices.ContainsFunc(o.singles, func(other *Single) bool { return other.name == s.name }) {
			err = errors.Join(errors.New("the same origin was given before"), s.Close())
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("origin: URL %d of %d: %w", i+1, len(urls), err), o.Close())
		}
		o.singles = append(o.singles, s)
		var r block.Reader = s
		if opts.Wrap != nil {
			r = opts.Wrap(s.name, s)
		}
		o.failover.add(s.name, r)
	}
	return o, nil
}

func openSingle(u string, opts Options) (*Single, error) {
	l, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	var m medium
	if l.folder != "" {
		m = newFolder(l.folder, opts.Observe)
	} else if m, err = newBucket(l, opts.Timeouts, opts.Observe); err != nil {
		return nil, fmt.Errorf("%s: %w", l, err)
	}
	return &Single{name: l.String(), pool: opts.Pool, log: opts.Logger, medium: m}, nil
}

// ReadBlock implements [block.Reader] over all origins: the first that serves
// the block wins. ErrNotFound means that every origin said so; ErrCorrupt that
// no origin holds right bytes and every one of them answered.
func (o *Origin) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	return o.failover.ReadBlock(ctx, id)
}

// Origins returns the single origins in order. Publishing goes to the first.
func (o *Origin) Origins() []*Single { return slices.Clone(o.singles) }

// Check returns nil when at least one origin can serve reads now, else why each
// of them cannot.
func (o *Origin) Check(ctx context.Context) error {
	var all []error
	for _, s := range o.singles {
		err := s.Check(ctx)
		if err == nil {
			return nil
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// String returns the origins' names, joined by commas.
func (o *Origin) String() string {
	names := make([]string, len(o.singles))
	for i, s := range o.singles {
		names[i] = s.name
	}
	return strings.Join(names, ",")
}

// Close ends idle connections. Reads in progress finish.
func (o *Origin) Close() error {
	var all []error
	for _, s := range o.singles {
		all = append(all, s.Close())
	}
	return errors.Join(all...)
}

var _ io.Closer = (*Origin)(nil)
