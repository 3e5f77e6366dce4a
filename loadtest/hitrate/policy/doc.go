// Package policy has models of what caches keep, to compare hit rates with: LRU, 2Q,
// S3-FIFO, W-TinyLFU and Belady's look into the future, each over objects of any size
// under a budget in bytes.
//
//	c := policy.NewLRU(1 << 30)
//	hit := c.Access(id, size) // a miss brings the object in, as far as the policy takes it
//
// They follow the papers they are named after; what those leave open about sizes is
// said at each. An object that is larger than the cache is a miss and changes nothing.
// A cache belongs to one goroutine. Nothing is random: the same accesses have the same
// hits.
package policy

// A Cache says which of its accesses hit.
type Cache interface {
	// Access reads an object and reports whether the cache had it.
	Access(id uint64, size int64) (hit bool)
}
