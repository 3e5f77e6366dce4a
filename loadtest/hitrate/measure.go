package main

import (
	"errors"

	"github.com/zonecache/cached/loadtest/hitrate/policy"
	"github.com/zonecache/cached/loadtest/hitrate/product"
	"github.com/zonecache/cached/loadtest/hitrate/trace"
	"github.com/zonecache/cached/tiers/disk"
)

// A rate is what a cache made of a trace.
type rate struct {
	Policy   string  `json:"policy"`
	Percent  float64 `json:"percent"` // of the distinct bytes; 0: room for all
	Capacity int64   `json:"capacity"`
	Hits     float64 `json:"hits"`  // by reads
	Bytes    float64 `json:"bytes"` // by bytes
}

// A comparison is what all caches made of a trace.
type comparison struct {
	Trace    string `json:"trace"`
	About    string `json:"about"`
	Reads    int    `json:"reads"`
	Distinct int    `json:"distinct"`
	Bytes    int64  `json:"distinct_bytes"`
	Rates    []rate `json:"rates"`
	t        *trace.Trace
	sizes    []float64
	policies []string
}

func compare(t *trace.Trace, about string, policies []string, sizes []float64) (*comparison, error) {
	c := &comparison{Trace: t.Name, About: about, Reads: len(t.IDs), t: t, sizes: sizes, policies: policies}
	c.Distinct, c.Bytes = t.Distinct()
	next := policy.NextUses(t.IDs)
	for _, name := range policies {
		for _, percent := range sizes {
			r := rate{Policy: name, Percent: percent, Capacity: int64(percent / 100 * float64(c.Bytes))}
			if name == "all" {
				r.Percent, r.Capacity = 0, c.Bytes
			}
			cache, err := open(name, r.Capacity, c.Bytes/int64(c.Distinct), next)
			if errors.Is(err, errTooSmall) {
				continue
			}
			if err != nil {
				return nil, err
			}
			r.Hits, r.Bytes = replay(t, cache)
			if closer, ok := cache.(interface{ Close() error }); ok {
				if err := closer.Close(); err != nil {
					return nil, err
				}
			}
			c.Rates = append(c.Rates, r)
			if name == "all" {
				break
			}
		}
	}
	return c, nil
}

var errTooSmall = errors.New("the tier cannot be that small")

func open(name string, capacity, mean int64, next []int64) (policy.Cache, error) {
	switch name {
	case "LRU":
		return policy.NewLRU(capacity), nil
	case "2Q":
		return policy.NewTwoQ(capacity), nil
	case "S3-FIFO":
		return policy.NewS3FIFO(capacity), nil
	case "W-TinyLFU":
		return policy.NewWTinyLFU(capacity, mean), nil
	case "L1":
		return product.NewL1(capacity)
	case "L2":
		if capacity < disk.MinCapacity {
			return nil, errTooSmall
		}
		return product.NewL2(capacity), nil
	case "Belady":
		return policy.NewBelady(capacity, next), nil
	}
	return policy.NewCompulsory(), nil
}

// replay returns the share of a trace's reads that hit, and of its bytes.
func replay(t *trace.Trace, c policy.Cache) (reads, bytes float64) {
	var hits, hitBytes int64
	for i, id := range t.IDs {
		if c.Access(id, t.Sizes[i]) {
			hits++
			hitBytes += t.Sizes[i]
		}
	}
	return float64(hits) / float64(len(t.IDs)), float64(hitBytes) / float64(t.Bytes())
}
