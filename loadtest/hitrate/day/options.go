package day

import (
	"fmt"
	"time"

	"github.com/zonecache/cached/loadtest/workload"
)

// Options say what a zone and its day are like.
type Options struct {
	Seed  uint64 `json:"seed"`
	Hosts int    `json:"hosts"`
	L1    int64  `json:"l1"` // bytes of each host
	L2    int64  `json:"l2"`

	Images int     `json:"images"`
	Zipf   float64 `json:"zipf"`   // exponent of the images' popularity
	Starts string  `json:"starts"` // when they come, as workload.ParseProcess has it

	Bursts    int `json:"bursts"`     // in a day, at times and of images that are drawn
	BurstSize int `json:"burst_size"` // starts of one

	PublishEvery time.Duration `json:"publish_every"` // of each image on average: what is its own is new
	PatchEvery   time.Duration `json:"patch_every"`   // of each base on average
	Replaced     int           `json:"replaced"`      // hosts that die in a day; another joins ten minutes later

	Always bool `json:"always"` // l2-admit: always, instead of hot
	// KeepOwned has disks evict the blocks their hosts own last, which the product does
	// not do.
	KeepOwned bool `json:"keep_owned"`

	Warm   time.Duration `json:"warm"`   // before what is counted as the day
	Length time.Duration `json:"length"` // of the day
}

// Default is the zone that goals are stated for; docs/hitrate.md says where its
// numbers are from.
func Default() Options {
	return Options{
		Seed: 1, Hosts: 100, L1: 51 << 20, L2: 819 << 20,
		Images: 200, Zipf: 1.1, Starts: "diurnal:0.25-1.75/s@24h", Bursts: 24, BurstSize: 200,
		PublishEvery: 72 * time.Hour, PatchEvery: 7 * 24 * time.Hour, Replaced: 2,
		Warm: 24 * time.Hour, Length: 24 * time.Hour,
	}
}

// burstWithin is how long the starts of a burst take to come, and joinAfter how long a
// host is missed.
const (
	burstWithin = 10 * time.Second
	joinAfter   = 10 * time.Minute
)

func (o Options) check() (*workload.Process, error) {
	p, err := workload.ParseProcess(o.Starts)
	if err != nil {
		return nil, fmt.Errorf("day: %w", err)
	}
	switch {
	case o.Hosts < 2 || o.Hosts > 5000:
		return nil, fmt.Errorf("day: %d hosts: want 2 to 5000", o.Hosts)
	case o.L1 < 1<<20 || o.L2 < 32<<20:
		return nil, fmt.Errorf("day: L1 of %d and L2 of %d bytes: want at least 1 MiB and 32 MiB", o.L1, o.L2)
	case o.Length <= 0 || o.Warm < 0 || o.Warm+o.Length > 31*24*time.Hour:
		return nil, fmt.Errorf("day: %s after %s: want more than nothing and no more than 31 days", o.Length, o.Warm)
	case o.PublishEvery <= 0 || o.PatchEvery <= 0 || o.Bursts < 0 || o.BurstSize < 0 || o.Replaced < 0:
		return nil, fmt.Errorf("day: negative option, or versions without a time")
	case o.Replaced >= o.Hosts:
		return nil, fmt.Errorf("day: %d of %d hosts are replaced", o.Replaced, o.Hosts)
	}
	return p, nil
}
