// Package memory is L1: blocks in this host's memory, admitted and evicted by
// ristretto's TinyLFU, under a budget in bytes.
//
// A read is one lookup in a sharded map and one compare-and-swap on the block's
// reference count; it copies and allocates nothing, and the reader's reference
// keeps the bytes alive whatever is evicted meanwhile. A write hands one
// reference to ristretto and returns when ristretto has decided: from then on
// the block is readable until it is evicted, or it was refused. There is no
// time in between in which an offered block can be neither found nor freed, and
// nothing queues up: blocks on their way in are those their writers hold anyway.
// A write that would have to stand behind too many others is declined instead.
//
// Blocks are charged what they occupy ([block.Block.MemorySize], not their
// length). The tier references at most its capacity, plus the blocks being
// offered at the moment (at most an eighth of the capacity and 32 MiB).
//
// The tier keeps one reference to each block it holds and drops it on eviction,
// on refusal and on Close. All methods may be called at the same time; reads
// and writes after Close are misses and declines.
//
// Configuration:
//
//	l1:
//	  size: 256MiB   # 0 switches the tier off
package memory
