package main

// The commands behind the goals. Each runs alone, at full size (CACHED_PROVE=1).
const (
	goTest = "go test -count=1 -timeout=40m -v "

	rawRate     = goTest + "-run TestProveRawRate ./api"
	l1Rate      = goTest + "-run TestProveRawL1Rate ./cmd/cached"
	restart     = goTest + "-run TestProveRestart ./cmd/cached"
	readers64   = goTest + "-run TestProve64Readers ./cmd/cached"
	grpcRate    = goTest + "-run TestProveGRPCRate ./api"
	allocations = goTest + "-run TestProveServerAllocations ./api"
	diskRead    = goTest + "-run TestProveReadsAndRestartBesideFIO ./tiers/disk"
	diskWrite   = goTest + "-run TestProveWritesBesideFIO ./tiers/disk"
	diskBounds  = goTest + "-run TestBoundsAreKept ./tiers/disk"
	diskWear    = goTest + "-run TestWriteAmplification ./tiers/disk"
	diskScan    = goTest + "-run TestScanDoesNotFlush ./tiers/disk"
	diskKill    = goTest + "-run TestKillAtRandomMoments ./tiers/disk"
	versions    = goTest + "-run TestVersionsShareBlocks ./image/source"
	bounded     = goTest + "-run TestPublishInBoundedMemory ./image/source"
	speed       = goTest + "-run TestPublishAtTheSpeedOfZstd ./image/source"
	million     = goTest + "-run TestMillionEntries ./image/rootfs"
	resident    = goTest + "-run TestResident ./cmd/cached"
	drain       = goTest + "-run TestSIGTERM ./cmd/cached"

	// Whole packages, without what is measured above.
	clients    = goTest + "-skip TestProve ./api"
	commands   = goTest + "-skip 'TestProve|TestResident|TestSIGTERM' ./cmd/cached"
	chain      = goTest + "./tiers"
	blocks     = goTest + "./block/..."
	ledger     = goTest + "./account"
	traps      = goTest + "./tiers/memory"
	stores     = goTest + "./tiers/origin"
	diskFaults = goTest + "-skip 'TestProve|TestBoundsAreKept|TestWriteAmplification|TestScanDoesNotFlush|TestKillAtRandomMoments' ./tiers/disk"
	sources    = goTest + "-skip 'TestVersionsShareBlocks|TestPublishInBoundedMemory|TestPublishAtTheSpeedOfZstd|TestCutTable' ./image ./image/source"
	flattened  = goTest + "-skip TestMillionEntries ./image/rootfs"

	demonstrate = "make demo"
)

// mainGoals are the goals of one node, end to end.
var mainGoals = []goal{
	{name: "demo: publish, read cold, warm, restarted, every byte compared", command: demonstrate},

	{name: "L1 read through the daemon's chain, raw, 512 KiB, 8 clients, beside net/http", figure: "serve.raw_l1.vs_nethttp", op: atLeast, bound: 0.95, unit: "x", command: l1Rate},
	{name: "the same beside nginx at its best (sendfile)", figure: "serve.raw_l1.vs_nginx", op: atLeast, bound: 0.9, unit: "x", command: l1Rate},
	{name: "L1 read, raw", figure: "serve.raw_l1.gbps", op: shown, unit: "GB/s", command: l1Rate},
	{name: "raw encoding alone (one block at hand) beside net/http", figure: "api.raw.vs_nethttp", op: shown, unit: "x", command: rawRate},
	{name: "raw encoding alone beside nginx", figure: "api.raw.vs_nginx", op: shown, unit: "x", command: rawRate},
	{name: "raw encoding alone beside raw TCP writev", figure: "api.raw.vs_tcp", op: shown, unit: "x", command: rawRate},
	{name: "raw encoding alone", figure: "api.raw.gbps", op: shown, unit: "GB/s", command: rawRate},
	{name: "allocations for a raw read of 256 KiB", figure: "api.raw.server_allocs_256k", op: atMost, bound: 10, unit: "allocs", command: allocations},
	{name: "allocations for a raw read of 512 KiB", figure: "api.raw.server_allocs_512k", op: atMost, bound: 10, unit: "allocs", command: allocations},
	{name: "growth of the allocations from 256 to 512 KiB", figure: "api.raw.server_allocs_growth", op: atMost, bound: 1, unit: "allocs", command: allocations},
	{name: "growth of the bytes allocated from 256 to 512 KiB", figure: "api.raw.server_alloc_bytes_growth", op: atMost, bound: 4096, unit: "B", command: allocations},
	{name: "proto over gRPC/h2c beside grpc-go unary", figure: "api.grpc.vs_grpcgo", op: atLeast, bound: 1, unit: "x", command: grpcRate},
	{name: "the same, both read by grpc-go's client", figure: "api.grpc.server_vs_grpcgo", op: shown, unit: "x", command: grpcRate},
	{name: "every encoding, grpcurl, curl, Connect and gRPC clients, hostile peers, drain", command: clients},

	{name: "64 readers of one cold block: origin reads", figure: "flight.origin_reads_for_64_readers", op: exactly, bound: 1, unit: "reads", command: chain},
	{name: "64 clients of a daemon ask for one cold block: origin reads", figure: "serve.origin_reads_for_64_readers", op: exactly, bound: 1, unit: "reads", command: readers64},
	{name: "one origin read, undisturbed by 63 who leave, stopped when all have; the chain", command: chain},
	{name: "blocks and pools: every reference counted, names and ids checked", command: blocks},
	{name: "ledger: its identities hold, under load and against a model", command: ledger},

	{name: "daemon's resident memory of L1 + 25 % + 128 MiB", figure: "serve.resident_peak_of_allowed", op: atMost, bound: 1, unit: "x", command: resident},
	{name: "L1: bytes held over its budget under churn", figure: "memory.churn.over_budget_ratio", op: atMost, bound: 1.125, unit: "x", command: traps},
	{name: "L1: the contract, ristretto's traps, a model", command: traps},
	{name: "SIGTERM under load: reads broken off", figure: "serve.drain_broken_reads", op: exactly, bound: 0, unit: "reads", command: drain},

	{name: "L2 cold random read, depth 4, beside fio", figure: "disk.read.vs_fio", op: atLeast, bound: 0.85, unit: "x", command: diskRead},
	{name: "L2 cold random read", figure: "disk.read.mb_per_s", op: shown, unit: "MB/s", command: diskRead},
	{name: "daemon restarted on a full L2: from exec to the first block by RPC", figure: "serve.restart.first_block_s", op: atMost, bound: 1, unit: "s", command: restart},
	{name: "the tier alone: open and first block", figure: "disk.restart.first_block_s", op: atMost, bound: 1, unit: "s", command: diskRead},
	{name: "L2 write, of 1 GB/s where fio writes 2 or more (of half of fio's where it writes less)", figure: "disk.write.of_goal", op: atLeast, bound: 1, unit: "x", command: diskWrite},
	{name: "L2 write beside fio, as a ratio (1 of 2 GB/s)", figure: "disk.write.vs_fio", op: atLeast, bound: 0.5, unit: "x", command: diskWrite, note: "on a disk that writes 2.5 to 3 GB/s the single writer and its commits, which are not overlapped with appends, are the limit"},
	{name: "L2 write", figure: "disk.write.mb_per_s", op: shown, unit: "MB/s", command: diskWrite},
	{name: "L2 peak of its budget while twice it is written", figure: "disk.budget.peak_ratio", op: atMost, bound: 1, unit: "x", command: diskBounds},
	{name: "L2 write amplification at the disk", figure: "disk.write_amplification", op: atMost, bound: 1.1, unit: "x", command: diskWear},
	{name: "L2 hit rate through a scan, above the better of FIFO and LRU by", figure: "disk.scan.gain", op: above, bound: 0, unit: "", command: diskScan},
	{name: "L2 hit rate of a working set through a scan", figure: "disk.scan.hit_rate", op: shown, unit: "", command: diskScan},
	{name: "the same trace, plain FIFO", figure: "disk.scan.fifo_hit_rate", op: shown, unit: "", command: diskScan},
	{name: "the same trace, plain LRU", figure: "disk.scan.lru_hit_rate", op: shown, unit: "", command: diskScan},
	{name: "kill -9 under load: kills", figure: "disk.kill9.kills", op: atLeast, bound: 100, unit: "kills", command: diskKill},
	{name: "kill -9 under load: wrong bytes", figure: "disk.kill9.wrong_bytes", op: exactly, bound: 0, unit: "blocks", command: diskKill},
	{name: "kill -9 under load: stores that did not open", figure: "disk.kill9.open_failures", op: exactly, bound: 0, unit: "opens", command: diskKill},
	{name: "flipped bit, truncated file, full disk, read-only disk, two daemons", command: diskFaults},

	{name: "v2 with one package touched: stored bytes uploaded", figure: "publish.v2_new_share_percent", op: atMost, bound: 1.5, unit: "%", command: versions},
	{name: "publish of 4 GiB: resident memory", figure: "publish.rss_mib", op: atMost, bound: 512, unit: "MiB", command: bounded},
	{name: "publish beside bare zstd of the same bytes on all cores", figure: "publish.vs_zstd", op: atLeast, bound: 0.8, unit: "x", command: speed, note: "the rest is the content-defined cut (a fifth of zstd's time on one core), hashing and copying"},
	{name: "the same into a folder on this disk", figure: "publish.folder_vs_zstd", op: shown, unit: "x", command: speed},
	{name: "publish into a folder", figure: "publish.folder_mb_per_s", op: shown, unit: "MB/s", command: speed},
	{name: "manifests: deterministic, resumed, every kind of source, a real registry", command: sources},
	{name: "flattening: whiteouts, links, xattrs, devices; kernel, fsck, umoci agree", command: flattened},
	{name: "image with a million entries: resident memory", figure: "rootfs.million_entries.rss_mib", op: atMost, bound: 512, unit: "MiB", command: million},
	{name: "image with a million entries: entries", figure: "rootfs.million_entries.count", op: atLeast, bound: 1e6, unit: "entries", command: million},

	{name: "folder and a real S3 server: wrong key, missing bucket, SlowDown, cut connections, fail-over", command: stores},
	{name: "wrong bytes in the origin: named, never served, read elsewhere", command: commands},
	{name: "the commands and their mistakes, as a user types them", command: commands},
}
