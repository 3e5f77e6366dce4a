package main

// The commands behind the goals of the zone. They need root: real daemons run on
// hosts of their own, which are network namespaces.
const (
	zoneTest = "go test -count=1 -timeout=90m -v -run "

	zoneBurst      = zoneTest + "'TestProveZoneBurst$' ./loadtest/zone"
	zoneBurstSlow  = zoneTest + "TestProveZoneBurstSlowLinks ./loadtest/zone"
	zoneTree       = zoneTest + "'TestProveZoneBurstTree$' ./loadtest/zone"
	zoneAlone      = zoneTest + "'TestProveZoneBurstAlone$' ./loadtest/zone"
	zoneFirst      = zoneTest + "'TestProveZoneFirstBlock$' ./loadtest/zone"
	zoneFirstSlow  = zoneTest + "TestProveZoneFirstBlockSlowLinks ./loadtest/zone"
	zoneSlow       = zoneTest + "'TestProveZoneSlowLink$' ./loadtest/zone"
	zoneSlowCalm   = zoneTest + "TestProveZoneSlowLinkCalm ./loadtest/zone"
	zoneKilled     = zoneTest + "TestProveZoneOwnerKilled ./loadtest/zone"
	zoneRolling    = zoneTest + "TestProveZoneRollingRestart ./loadtest/zone"
	zonePartition  = zoneTest + "TestProveZonePartition ./loadtest/zone"
	zoneLatency    = zoneTest + "TestProveZoneReadLatency ./loadtest/zone"
	zoneSoak       = zoneTest + "TestProveZoneSoak ./loadtest/zone"
	zoneDrain      = zoneTest + "TestSIGTERMInAZone ./cmd/cached"
	zoneScripts    = zoneTest + "'TestScripts/^(zone|zone_strangers|auth|certs)$' ./cmd/cached"
	zoneStarting   = zoneTest + "'TestANodeThatStarts|TestANodeWhoseSeeds|TestSIGTERMWhile' ./cmd/cached"
	zoneRing       = zoneTest + "'TestProveRing(Balance|Movement|Heirs|Lookup)|TestProveTree' ./placement"
	zoneSimulated  = zoneTest + "'TestProveBurstSim|TestBurstOneBlock' ./placement"
	zoneGossip     = zoneTest + "TestProveGossip ./placement/gossip"
	zoneHedges     = zoneTest + "TestHedgesAreFewerThanTheirShare ./tiers/peer"
	zoneWire       = zoneTest + "TestProvePeerRate ./api"
	zoneInProcess  = "go test -count=1 -timeout=90m -v ./internal/zonetest"
	zoneTenants    = zoneTest + "'TestTwoTenantsOneBlock|TestAgentsCertificates|TestTenantsFileIsReadAgain' ./cmd/cached"
	zoneDenied     = "go test -count=1 -v ./access ./identity"
	zoneStrangers  = zoneTest + "'TestPeersOfAnotherZone|TestPeersWithoutACertificate|TestTreeWithoutCertificate|TestAnExpiredCertificate|TestACertificateThatExpires|TestConnectionsEndWithinTheirAge' ./api"
	zoneBadAnswers = zoneTest + "'TestPeersBadAnswers|TestEmptyAndEndless|TestAPeerOfAnOlder|TestAPeerOfANewer|TestPeerServerHostileAskers|TestPeerQueryErrors' ./api"
	zoneOutsiders  = "go test -count=1 -v -skip TestProve ./placement/gossip"
	zoneInstrument = zoneTest + "TestProveLinkRate ./internal/netlab"
)

// starved is why a burst beside a host with a link of 6.25 Mbit/s has no figures.
const starved = "a read of that host took longer than its program's 60 s, which fails the test (29 November 2026, 9aa28e4); the others took 1.49, 1.45 and 1.49 times as long meanwhile, a block was read up to 1.77 times: streams are starved on full links, and what the host owns is read by others"

// zoneGoals are the goals of the zone: on real processes first, then of its parts.
var zoneGoals = []goal{
	{name: "hosts' links: TCP goodput of 100 Mbit/s, one connection", figure: "netlab.rate_x", op: atLeast, bound: 0.93, unit: "x", command: zoneInstrument},
	{name: "the same, eight connections", figure: "netlab.rate_8_connections_x", op: atLeast, bound: 0.93, unit: "x", command: zoneInstrument},

	{name: "16 hosts at 100 Mbit/s (MTU 9000), L1 64 MiB each, 256 MiB at once: origin bytes by distinct bytes", figure: "zone.burst16.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: zoneBurst, note: "0 to 2 of 1810 blocks: where 33 programs share two cores, a node that gets no processor for a second is taken for dead now and then"},
	{name: "the same: until every block was delivered to the last host's program, verified, by (1 + floor(log2 N)/M) S/B; median of three", figure: "zone.burst16.vs_bound", op: atMost, bound: 1.3, unit: "x", command: zoneBurst, note: "33 programs fill two cores to 0.94: TLS, digests and the kernel's packets for 16 hosts; the simulation of the same code, without processors, gives 1.02"},
	{name: "the same, the slowest of three bursts", figure: "zone.burst16.worst_vs_bound", op: atMost, bound: 1.3, unit: "x", command: zoneBurst, note: "as above"},
	{name: "the same: processor time of daemons, store and programs, by all of the machine's in that time", figure: "zone.burst16.cpu_share", op: shown, unit: "x", command: zoneBurst},
	{name: "the same on links of 50 Mbit/s, which two cores can fill, 128 MiB, a switch with 1 MiB for a port: time by the bound", figure: "zone.burst16_slow.vs_bound", op: atMost, bound: 1.3, unit: "x", command: zoneBurstSlow},
	{name: "links of 50 Mbit/s: origin bytes by distinct bytes", figure: "zone.burst16_slow.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: zoneBurstSlow, note: "2 of 902 blocks; two cores are busy to 0.88 here, too"},
	{name: "links of 50 Mbit/s: processor time, as above", figure: "zone.burst16_slow.cpu_share", op: shown, unit: "x", command: zoneBurstSlow},
	{name: "16 hosts at 100 Mbit/s over the Function Tree: time by the bound", figure: "zone.burst16_tree.vs_bound", op: shown, unit: "x", command: zoneTree},
	{name: "Function Tree: origin bytes by distinct bytes", figure: "zone.burst16_tree.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: zoneTree},
	{name: "the same without peers, each host to the origin, by the bound", figure: "zone.burst16_alone.vs_bound", op: shown, unit: "x", command: zoneAlone},
	{name: "without peers, beside the zone in the same run: slower by", figure: "zone.burst16.speedup", op: atLeast, bound: 10, unit: "x", command: zoneAlone},
	{name: "first block asked by 16 hosts at once, in transfers beyond the origin's delay, median of 15 blocks", figure: "zone.first_block16.transfers", op: atMost, bound: 4, unit: "x", command: zoneFirst, note: "a transfer takes 12 ms, a turn of the processor for each of 32 programs several of them; see links of 50 Mbit/s"},
	{name: "the same, the slowest of 15 blocks", figure: "zone.first_block16.worst_transfers", op: shown, unit: "x", command: zoneFirst},
	{name: "first block: origin reads per block", figure: "zone.first_block16.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zoneFirst},
	{name: "first block over links of 50 Mbit/s, in transfers beyond the origin's delay, median of 15 blocks", figure: "zone.first_block16_slow.transfers", op: atMost, bound: 4, unit: "x", command: zoneFirstSlow},
	{name: "first block over links of 50 Mbit/s, the slowest of 15 blocks", figure: "zone.first_block16_slow.worst_transfers", op: shown, unit: "x", command: zoneFirstSlow},
	{name: "first block over links of 50 Mbit/s: origin reads per block", figure: "zone.first_block16_slow.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zoneFirstSlow},
	{name: "one host with a link four times slower: the others' time", figure: "zone.slow_link.others_x", op: atMost, bound: 1.1, unit: "x", command: zoneSlow, note: "the slow host owns a sixteenth of the blocks, and its link is full with what its own program reads: who waits for it longer than the peer budget and its own reads of the origin take reads there, too"},
	{name: "the same, the worst of three pairs of bursts", figure: "zone.slow_link.worst_others_x", op: atMost, bound: 1.1, unit: "x", command: zoneSlow, note: "as above"},
	{name: "slow link: origin reads per distinct block", figure: "zone.slow_link.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zoneSlow, note: "as above"},
	{name: "slow link: processor time of daemons, store and programs, by all of the machine's in that time, the most", figure: "zone.slow_link.cpu_share", op: shown, unit: "x", command: zoneSlow},
	{name: "the same on links of 25 Mbit/s, beside one of 6.25, 64 MiB: the others' time", figure: "zone.slow_link_calm.others_x", op: atMost, bound: 1.1, unit: "x", command: zoneSlowCalm, note: starved},
	{name: "links of 25 Mbit/s: the worst of three pairs of bursts", figure: "zone.slow_link_calm.worst_others_x", op: shown, unit: "x", command: zoneSlowCalm, note: starved},
	{name: "links of 25 Mbit/s: origin reads per distinct block", figure: "zone.slow_link_calm.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zoneSlowCalm, note: starved},
	{name: "links of 25 Mbit/s: processor time, as above", figure: "zone.slow_link_calm.cpu_share", op: shown, unit: "x", command: zoneSlowCalm, note: starved},

	{name: "an owner killed with -9 in mid-burst: failed reads", figure: "zone.owner_killed.failed_reads", op: exactly, bound: 0, unit: "reads", command: zoneKilled},
	{name: "owner killed: wrong blocks", figure: "zone.owner_killed.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zoneKilled},
	{name: "owner killed: origin reads per distinct block, without the dead node's share", figure: "zone.owner_killed.over_share", op: atMost, bound: 1.01, unit: "reads", command: zoneKilled},
	{name: "owner killed: time by the bound", figure: "zone.owner_killed.vs_bound", op: shown, unit: "x", command: zoneKilled},
	{name: "rolling restart of all 16 under load: failed reads; one that a daemon refuses because it is away is asked again by the agent for up to 30 s", figure: "zone.rolling_restart.failed_reads", op: exactly, bound: 0, unit: "reads", command: zoneRolling},
	{name: "rolling restart: wrong blocks", figure: "zone.rolling_restart.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zoneRolling},
	{name: "rolling restart: share of the reads in all that time served without the origin", figure: "zone.rolling_restart.without_origin", op: atLeast, bound: 0.99, unit: "x", command: zoneRolling},
	{name: "the same: reads of the origin per distinct block", figure: "zone.rolling_restart.origin_reads_per_block", op: shown, unit: "reads", command: zoneRolling},
	{name: "rolling restart: bytes on a host's disk right after its restart, of those right before, the worst host", figure: "zone.rolling_restart.l2_kept", op: atLeast, bound: 0.99, unit: "x", command: zoneRolling},
	{name: "the same: blocks that a reader of the image then gets from the disk, the fewest", figure: "zone.rolling_restart.blocks_from_disk", op: shown, unit: "blocks", command: zoneRolling},
	{name: "after the rolling restart: share of reads served without the origin, of that before", figure: "zone.rolling_restart.hit_rate_kept", op: atLeast, bound: 0.99, unit: "x", command: zoneRolling},
	{name: "after the rolling restart: share of reads served by the host's own tiers, of that before", figure: "zone.rolling_restart.own_hit_rate_kept", op: atLeast, bound: 0.9, unit: "x", command: zoneRolling},
	{name: "one of three daemons told to end, under load: broken reads of the others", figure: "serve.zone_drain_broken_reads", op: exactly, bound: 0, unit: "reads", command: zoneDrain},
	{name: "a daemon that starts reads nothing from the origin that its zone holds, and starts without its seeds", command: zoneStarting},
	{name: "partition into 8 + 8 in mid-burst: failed reads", figure: "zone.partition.failed_reads", op: exactly, bound: 0, unit: "reads", command: zonePartition},
	{name: "partition: wrong blocks", figure: "zone.partition.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zonePartition},
	{name: "partition: most origin reads of one block", figure: "zone.partition.most_origin_reads_of_a_block", op: atMost, bound: 2, unit: "reads", command: zonePartition, note: "about 1 % of the blocks, in one of three runs 4 %: a node takes a busy one for dead and asks somebody who has not heard of either, or waits longer than its peer budget"},
	{name: "partition: share of the blocks that are read more than twice, because a node took a busy one for dead", figure: "zone.partition.read_more_than_twice", op: atMost, bound: 0.01, unit: "x", command: zonePartition},
	{name: "partition: origin reads per distinct block, as the daemons' ledgers say", figure: "zone.partition.ledger_origin_reads_per_block", op: atMost, bound: 2, unit: "reads", command: zonePartition},
	{name: "partition: reads in the origin's log that no ledger has, because they were given up", figure: "zone.partition.given_up_share", op: atMost, bound: 0.05, unit: "x", command: zonePartition},
	{name: "partition: the slowest read of a host", figure: "zone.partition.slowest_read_s", op: shown, unit: "s", command: zonePartition},
	{name: "healed: origin reads per distinct block of the next image", figure: "zone.partition.healed_origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zonePartition},

	{name: "zone read of 512 KiB, links not shaped: p50 beside the local L2 read", figure: "zone.read_latency.l3_vs_l2_p50", op: atMost, bound: 1, unit: "x", command: zoneLatency, note: "TLS and two digests of 512 KiB take longer on these processors than the virtual disk"},
	{name: "the same beside bare TCP", figure: "zone.read_latency.l3_vs_tcp_p50", op: shown, unit: "x", command: zoneLatency},
	{name: "zone read of 512 KiB: p50 (AWS Lambda: 0.55 ms)", figure: "zone.read_latency.l3_p50_ms", op: atMost, bound: 0.55, unit: "ms", command: zoneLatency, note: "raw TCP takes 0.35 ms here; AES and BLAKE3 of 512 KiB at both ends on two cores the rest"},
	{name: "zone read of 512 KiB: p99.9 (AWS Lambda: 3.7 ms)", figure: "zone.read_latency.l3_p999_ms", op: atMost, bound: 3.7, unit: "ms", command: zoneLatency, note: "raw TCP takes 2.2 ms here"},
	{name: "local L2 read of the same: p50", figure: "zone.read_latency.l2_p50_ms", op: shown, unit: "ms", command: zoneLatency},
	{name: "local L2 read of the same: p99.9", figure: "zone.read_latency.l2_p999_ms", op: shown, unit: "ms", command: zoneLatency},
	{name: "as many bytes over bare TCP: p50", figure: "zone.read_latency.tcp_p50_ms", op: shown, unit: "ms", command: zoneLatency},
	{name: "as many bytes over bare TCP: p99.9", figure: "zone.read_latency.tcp_p999_ms", op: shown, unit: "ms", command: zoneLatency},

	{name: "soak with kill, restart, freeze, slow, partition, corrupt: minutes", figure: "zone.soak.minutes", op: atLeast, bound: 30, unit: "min", command: zoneSoak},
	{name: "soak: rounds of the fault that came least often", figure: "zone.soak.rounds_of_each_fault", op: atLeast, bound: 3, unit: "rounds", command: zoneSoak},
	{name: "soak: wrong blocks", figure: "zone.soak.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zoneSoak},
	{name: "soak: failed reads", figure: "zone.soak.failed_reads", op: exactly, bound: 0, unit: "reads", command: zoneSoak},
	{name: "soak: goroutines, the last third by the second", figure: "zone.soak.goroutines_growth", op: atMost, bound: 1.1, unit: "x", command: zoneSoak},
	{name: "soak: resident memory, the last third by the second", figure: "zone.soak.resident_growth", op: atMost, bound: 1.1, unit: "x", command: zoneSoak},

	{name: "ring: fullest of 10 nodes by the mean", figure: "ring.balance_10", op: atMost, bound: 1.1, unit: "x", command: zoneRing},
	{name: "ring: fullest of 100 nodes by the mean", figure: "ring.balance_100", op: atMost, bound: 1.1, unit: "x", command: zoneRing},
	{name: "ring: fullest of 1000 nodes by the mean", figure: "ring.balance_1000", op: atMost, bound: 1.1, unit: "x", command: zoneRing},
	{name: "ring: what moves on a join, by the new node's share", figure: "ring.moved_on_join", op: atMost, bound: 1.05, unit: "x", command: zoneRing},
	{name: "ring: blocks of a lost node that its second holder inherits", figure: "ring.heirs_exact", op: atLeast, bound: 0.999, unit: "", command: zoneRing},
	{name: "ring: lookup among 1000 nodes", figure: "ring.lookup_ns", op: atMost, bound: 1000, unit: "ns", command: zoneRing},
	{name: "Function Tree: 10,000 random joins and leaves: most parents that one moves", figure: "tree.moved_max", op: atMost, bound: 3, unit: "parents", command: zoneRing},
	{name: "gossip of 16 nodes: a node that joins is in all rings", figure: "gossip.join_seen_worst_s", op: atMost, bound: 10, unit: "s", command: zoneGossip},
	{name: "gossip: a node that died is out of all rings", figure: "gossip.death_seen_worst_s", op: atMost, bound: 10, unit: "s", command: zoneGossip},
	{name: "gossip: a death notice has reached all", figure: "gossip.notice_seen_worst_s", op: shown, unit: "s", command: zoneGossip},
	{name: "gossip: nodes held for dead that live", figure: "gossip.false_deaths", op: exactly, bound: 0, unit: "deaths", command: zoneGossip},
	{name: "hedges of an owner that is always slow, of the reads (5 %, and the first 8 of 400)", figure: "peer.hedges_of_slow_owners", op: atMost, bound: 0.05 + 8.0/400, unit: "x", command: zoneHedges},
	{name: "simulated burst, the same code: 16 hosts, 256 MiB, by the bound", figure: "burst.sim_16_x", op: atMost, bound: 1.3, unit: "x", command: zoneSimulated},
	{name: "simulated: 1000 hosts, the slowest", figure: "burst.sim_1000_max_x", op: atMost, bound: 1.3, unit: "x", command: zoneSimulated},
	{name: "simulated: first block asked by 16 hosts at once", figure: "burst.sim_16_first_block", op: atMost, bound: 4, unit: "x", command: zoneSimulated},
	{name: "simulated: the others beside a host four times slower", figure: "burst.sim_16_one_slow_ratio", op: atMost, bound: 1.1, unit: "x", command: zoneSimulated},
	{name: "a peer's block of 512 KiB over the wire, beside bare TCP", figure: "peer.raw_plain_vs_tcp", op: shown, unit: "x", command: zoneWire},
	{name: "the same with mutual TLS, beside crypto/tls", figure: "peer.raw_tls_vs_tls", op: shown, unit: "x", command: zoneWire},
	{name: "the same with mutual TLS", figure: "peer.raw_tls_gbps", op: shown, unit: "GB/s", command: zoneWire},

	{name: "nodes in one process: kill, hang, partition, slow links, lies, forged redirects, disagreeing rings, chaos of half an hour", command: zoneInProcess},
	{name: "in one process: most origin reads of a block while a zone is in two halves", figure: "zonetest.partition.most_origin_reads", op: atMost, bound: 2, unit: "reads", command: zoneInProcess},
	{name: "in one process: 16 nodes in two halves in mid-burst, before anybody has noticed: most origin reads of a block", figure: "zonetest.partition_unnoticed_16.most_origin_reads", op: atMost, bound: 3, unit: "reads", command: zoneInProcess},
	{name: "the same: share of the blocks that are read three times", figure: "zonetest.partition_unnoticed_16.read_more_than_twice", op: atMost, bound: 0.01, unit: "x", command: zoneInProcess},
	{name: "in one process: wrong blocks where all others lie", figure: "zonetest.liars.wrong_bytes", op: exactly, bound: 0, unit: "blocks", command: zoneInProcess},
	{name: "two tenants, one block: the other is denied, cached or not; certificates and tokens of agents", command: zoneTenants},
	{name: "access on every read; certificates of a zone: expired, not yet valid, of another zone, replaced; a clock an hour off", command: zoneDenied},
	{name: "a peer without a valid certificate of the zone gets nothing, also on a connection that stands", command: zoneStrangers},
	{name: "bad input of peers: 0 bytes, endless, nonsense, older and newer versions", command: zoneBadAnswers},
	{name: "gossip: other keys on the network, duplicate names, an unknown zone, noise, key rotation", command: zoneOutsiders},
	{name: "daemons as users run them: other gossip keys, another zone, a name used twice, certificates of another CA and ended ones, tenants: each a log line and a number, and reads go on", command: zoneScripts},
}
