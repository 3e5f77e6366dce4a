package api

import (
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// TierToProto returns the message form of t.
func TierToProto(t block.Tier) cachedv1.Tier {
	switch t {
	case block.Memory:
		return cachedv1.Tier_TIER_MEMORY
	case block.Disk:
		return cachedv1.Tier_TIER_DISK
	case block.Peer:
		return cachedv1.Tier_TIER_PEER
	case block.Origin:
		return cachedv1.Tier_TIER_ORIGIN
	}
	return cachedv1.Tier_TIER_UNSPECIFIED
}

// TierFromProto returns the tier t means; one this version does not know is
// [block.Unknown].
func TierFromProto(t cachedv1.Tier) block.Tier {
	for _, tier := range block.Tiers {
		if TierToProto(tier) == t {
			return tier
		}
	}
	return block.Unknown
}

// CauseToProto returns the message form of c.
func CauseToProto(c block.Cause) cachedv1.Cause {
	switch c {
	case block.Prefetch:
		return cachedv1.Cause_CAUSE_PREFETCH
	case block.Repair:
		return cachedv1.Cause_CAUSE_REPAIR
	}
	return cachedv1.Cause_CAUSE_DEMAND
}

// CauseFromProto returns the cause c means; an absent one is [block.Demand].
func CauseFromProto(c cachedv1.Cause) (block.Cause, error) {
	if c == cachedv1.Cause_CAUSE_UNSPECIFIED {
		return block.Demand, nil
	}
	for _, cause := range block.Causes {
		if CauseToProto(cause) == c {
			return cause, nil
		}
	}
	return block.Demand, invalid("cause %d: want CAUSE_DEMAND, CAUSE_PREFETCH or CAUSE_REPAIR", c)
}
