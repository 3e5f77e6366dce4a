package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/workload"
)

// A Unit is what arrives.
type Unit string

// The units.
const (
	Reads  Unit = "reads"  // of one block each
	Starts Unit = "starts" // of an image: all its reads
)

// An Order is in which order the blocks of an image are read, one by one.
type Order string

// The orders.
const (
	InOrder Order = "trace"  // as they are listed, again and again
	Random  Order = "random" // any, again and again
)

// An Image is what is read.
type Image struct {
	Name     string
	Workload string // said to the daemon; may be empty
	Blocks   []Block
}

// A Block is a block of an image as one of its starts reads it.
type Block struct {
	ID     block.ID
	Stored uint32 // bytes
}

// A Target is a daemon under load.
type Target struct {
	Client *api.Client // checks no digests: Run does, see Options.VerifyEvery
	// Metrics is the URL of its metrics; "": not asked for them.
	Metrics string
}

// Options say what is measured.
type Options struct {
	Targets []Target
	Images  []Image // the most popular first
	Zipf    float64 // exponent of their popularity; 0: all alike
	Unit    Unit
	Order   Order // of reads; starts read in order

	// Process is when things arrive; nil: a closed loop of Clients.
	Process *workload.Process
	Clients int

	Warmup   time.Duration // load beforehand that is not counted
	Duration time.Duration // 0: until the process ends, or Limit
	Limit    int           // arrivals of a round; 0: no limit
	Rounds   int           // the load that often; 0: once

	Cold Cold // the daemons are made so before each round, and each burst
	// Session has each start open its image as a host agent does, so that the
	// daemon reads ahead of it, and records it.
	Session bool

	Parallel    int // reads at once within a start; 0: 16
	MaxInFlight int // arrivals in progress; those beyond wait, and the wait counts; 0: 4096
	VerifyEvery int // each so manieth block is hashed, behind the clock's back; 0: none

	Seed     uint64
	Interval time.Duration // of the time series; 0: a second
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Stage   string // "warm-up", "measuring"
	Round   int
	Elapsed time.Duration // of the stage
	Of      time.Duration // 0: not known
	Reads   int64         // of the stage
	Bytes   int64
	Errors  int64
}

func (o *Options) complete() error {
	if o.Rounds == 0 {
		o.Rounds = 1
	}
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 4096
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o.check()
}

func (o *Options) check() error {
	switch {
	case len(o.Targets) == 0:
		return errors.New("no daemon to load")
	case len(o.Images) == 0:
		return errors.New("nothing to read: no image")
	case o.Unit != Reads && o.Unit != Starts:
		return fmt.Errorf("unit %q: want %s or %s", o.Unit, Reads, Starts)
	case o.Order != InOrder && o.Order != Random:
		return fmt.Errorf("order %q: want %s or %s", o.Order, InOrder, Random)
	case o.Cold != Warm && o.Cold != Purged && o.Cold != Drilled:
		return fmt.Errorf("cold by %q: want %s or %s", o.Cold, Purged, Drilled)
	case o.Process == nil && o.Clients < 1:
		return errors.New("neither arrivals nor clients: nothing would be asked")
	case o.Duration < 0 || o.Warmup < 0 || o.Limit < 0 || o.Rounds < 0 || o.Parallel < 0 || o.MaxInFlight < 0 || o.VerifyEvery < 0:
		return errors.New("a duration, count or share is negative")
	case o.endless():
		return errors.New("the load would never end: give a duration or a count")
	case o.Interval < 10*time.Millisecond:
		return fmt.Errorf("an interval of %s: at least 10ms", o.Interval)
	}
	for _, image := range o.Images {
		if len(image.Blocks) == 0 {
			return fmt.Errorf("image %s: no blocks to read", image.Name)
		}
	}
	return nil
}

func (o *Options) endless() bool {
	ends := o.Process != nil && (o.Process.Length() > 0 || o.Process.Count() > 0)
	return o.Duration == 0 && o.Limit == 0 && !ends
}
