package api

import (
	"context"
	"log/slog"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// Services are what a daemon offers through a [Handler].
type Services struct {
	Blocks block.Reader
	Images Images
	Admin  Admin
	Starts Starts // nil: nobody wants to know
	// Preparations prepares images; nil: none can be.
	Preparations Preparations
	// Residency says who holds what; nil: nobody knows.
	Residency Residency
	Warmer    Warmer // nil: nothing can be warmed
	Pins      Pins   // nil: nothing can be pinned
	Purger    Purger // nil: nothing can be purged
	Drills    Drills // nil: there are none
}

// Drills has nodes of the zone seem empty for a while.
type Drills interface {
	// Drill calls tell with how each node is doing, one call at a time, until all have
	// ended, tell fails or ctx ends, which shows their caches again. The durations are
	// within [MaxDrill].
	Drill(ctx context.Context, req *cachedv1.DrillZoneRequest, tell func(*cachedv1.NodeDrill) error) error
}

// A Warmer brings images onto nodes. ctx is as for [Images], which has let the caller
// see the image before and found its manifest.
type Warmer interface {
	// Warm calls tell with how each node is doing, and whenever that changes, one call
	// at a time, until all have ended, tell fails or ctx ends.
	Warm(ctx context.Context, req *cachedv1.WarmImageRequest, manifest string, tell func(*cachedv1.NodeWarmth) error) error
}

// Pins keeps images on this host. ctx is as for [Images].
type Pins interface {
	// Pin begins to keep an image; one that is kept in a smaller scope is kept in the
	// larger one.
	Pin(ctx context.Context, image string, scope cachedv1.PreparationScope) (*cachedv1.Pin, error)
	// Unpin keeps it no longer. [ErrNotFound] when it is not pinned.
	Unpin(ctx context.Context, image string) (*cachedv1.Pin, error)
	// List returns all pins by name.
	List() []*cachedv1.Pin
}

// A Purger drops images from this host. ctx is as for [Images], which has let the
// caller see the image before.
type Purger interface {
	// Purge drops what only this image holds. open are the manifests of open sessions.
	Purge(ctx context.Context, req *cachedv1.PurgeImageRequest, manifest string, open []string) (*cachedv1.PurgeImageResponse, error)
}

// Preparations brings what starts of images need to where they will be. ctx is as
// for [Images], which has let the caller see the image before.
type Preparations interface {
	// Prepare begins a preparation, or returns the one under way.
	Prepare(ctx context.Context, image string, scope cachedv1.PreparationScope) (*cachedv1.Preparation, error)
	// Watch calls tell with the preparation as it is, and whenever that changes, until
	// it has ended, tell fails or ctx ends. [ErrNotFound] when there is none.
	Watch(ctx context.Context, image string, tell func(*cachedv1.Preparation) error) error
	// List returns all preparations by name.
	List() []*cachedv1.Preparation
}

// Residency says which nodes hold how much of what starts need. ctx and errors are
// as for [Images].
type Residency interface {
	GetResidency(ctx context.Context, req *cachedv1.GetResidencyRequest) (*cachedv1.GetResidencyResponse, error)
}

// Starts is told of the starts that sessions stand for. Its methods but Expected
// return at once.
type Starts interface {
	// Began says that a start has opened image. ctx ends with the request.
	Began(ctx context.Context, session string, req *cachedv1.OpenImageRequest, image *cachedv1.GetImageResponse)
	// Expected returns which blocks the start is expected to read, in their order, once
	// that is known or ctx ends.
	Expected(ctx context.Context, session string) []uint32
	// Ready says that the start's program is ready.
	Ready(session string)
	// Touched says that the program asked for blocks which the agent had read ahead,
	// by their indexes in the image, which may be beyond its end. It reports whether
	// more of that is of use.
	Touched(session string, blocks []uint32) (goesOn bool)
	// Ended says that the session was closed, or forgotten because too many later
	// ones were opened.
	Ended(session string)
}

// Images finds images. Errors: [ErrInvalid] for a malformed name, [ErrNotFound]
// or block.ErrNotFound for an image that does not exist, and those of a
// [block.Reader]. Where callers are authenticated, ctx carries a [block.Call] with
// their tenant, to whom only what it may read is shown: block.ErrDenied says no
// alike to what exists and what does not.
type Images interface {
	// GetImage returns the image that has this name or manifest id.
	GetImage(ctx context.Context, image string) (*cachedv1.GetImageResponse, error)
	// ListImages returns all named images in the order of their names.
	ListImages(ctx context.Context) ([]*cachedv1.ImageEntry, error)
}

// Admin describes the daemon.
type Admin interface {
	// Ledger returns the counts since the daemon's start.
	Ledger(ctx context.Context) (*cachedv1.Ledger, error)
	// Status returns what the daemon is and whether it is well. The handler adds
	// the number of open sessions.
	Status(ctx context.Context) (*cachedv1.GetStatusResponse, error)
	// Explain says where the blocks that starts of an image need are, and why not here.
	Explain(ctx context.Context, req *cachedv1.ExplainImageRequest) (*cachedv1.ExplainImageResponse, error)
}

// Options are a Handler's; the zero value is sensible.
type Options struct {
	MaxInFlight  int             // block reads in progress before more are refused; 0: 1024
	Overloaded   func()          // is told of each read that is refused for that; nil: nobody
	MaxSessions  int             // open sessions before the oldest is forgotten; 0: 16384
	Ready        func() []string // why the daemon is not ready; nil: it always is
	Authenticate Authenticator   // who a caller is; nil: anybody may call and says for which tenant
	Tracer       Tracer          // nil: nobody traces
	Logger       *slog.Logger    // nil: discard
}

func (o Options) withDefaults() Options {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1024
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 16384
	}
	if o.Ready == nil {
		o.Ready = func() []string { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
