// Package disk is L2: blocks on a local NVMe disk, bounded in bytes, which
// survive a restart.
//
// Blocks are appended to segment files, front to back, in large direct writes;
// a Pebble database, the index, says where each block lies. A write is accepted
// into a bounded queue, readable from there at once, and made durable by one
// writer goroutine: bytes first, index entry second. A read looks at the queue,
// then at the index, and transfers the block's sectors straight into the buffer
// it serves. It believes nothing but the bytes: they must hash to the id, on
// every read. So neither a crash, nor a lost write, nor a damaged index or file
// can make it serve a wrong byte; the worst is a miss.
//
// Space is reclaimed a segment at a time, oldest first, by the policy described
// at [evict.Policy]: a scan does not flush what is in use, and the flash is written
// little more than once for every block stored.
//
// Ownership: a Tier owns its directory, which it locks, and retains blocks
// only while they are on their way to the disk. Blocks it serves belong to the
// reader. Concurrency: the writer goroutine alone changes files and index;
// readers share no lock with it that is held across I/O. Close waits for both.
//
// A disk that refuses writes makes the tier sick: it declines what it is
// offered, serves what it holds, and tries again with growing pauses. One that
// hangs makes its blocks unavailable: readers do not wait for it, Close does.
//
//	l2:
//	  dir: /var/lib/cached/l2
//	  size: 100GiB      # all files together, index included
//	  min_free: 5GiB    # left to others on that file system
//	  write_budget_per_day: 0
package disk
