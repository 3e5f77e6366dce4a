package main

// The commands behind the goals of the zone. They need root: real daemons run on
// hosts of their own, which are network namespaces.
const (
	zoneTest = "go test -count=1 -timeout=90m -v -run "

	zoneBurst      = zoneTest + "'TestProveZoneBurst$' ./loadtest/zone"
	zoneTree       = zoneTest + "'TestProveZoneBurstTree$' ./loadtest/zone"
	zoneAlone      = zoneTest + "'TestProveZoneBurstAlone$' ./loadtest/zone"
	zoneFirst      = zoneTest + "TestProveZoneFirstBlock ./loadtest/zone"
	zoneSlow       = zoneTest + "TestProveZoneSlowLink ./loadtest/zone"
	zoneKilled     = zoneTest + "TestProveZoneOwnerKilled ./loadtest/zone"
	zoneRolling    = zoneTest + "TestProveZoneRollingRestart ./loadtest/zone"
	zonePartition  = zoneTest + "TestProveZonePartition ./loadtest/zone"
	zoneLatency    = zoneTest + "TestProveZoneReadLatency ./loadtest/zone"
	zoneSoak       = zoneTest + "TestProveZoneSoak ./loadtest/zone"
	zoneInstrument = zoneTest + "TestProveLinkRate ./internal/netlab"
)

// zoneGoals are the goals of the zone on real processes.
var zoneGoals = []goal{
	{name: "hosts' links: TCP goodput of 100 Mbit/s, one connection", figure: "netlab.rate_x", op: atLeast, bound: 0.93, unit: "x", command: zoneInstrument},
	{name: "the same, eight connections", figure: "netlab.rate_8_connections_x", op: atLeast, bound: 0.93, unit: "x", command: zoneInstrument},

	{name: "16 hosts at 100 Mbit/s, 256 MiB at once: origin bytes by distinct bytes", figure: "zone.burst16.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: zoneBurst},
	{name: "the same: until the last host holds everything, by (1 + floor(log2 N)/M) S/B", figure: "zone.burst16.vs_bound", op: atMost, bound: 1.3, unit: "x", command: zoneBurst},
	{name: "the same over the Function Tree", figure: "zone.burst16_tree.vs_bound", op: shown, unit: "x", command: zoneTree},
	{name: "Function Tree: origin bytes by distinct bytes", figure: "zone.burst16_tree.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: zoneTree},
	{name: "the same without peers, each host to the origin, by the bound", figure: "zone.burst16_alone.vs_bound", op: shown, unit: "x", command: zoneAlone},
	{name: "without peers, beside the zone in the same run: slower by", figure: "zone.burst16.speedup", op: atLeast, bound: 10, unit: "x", command: zoneAlone},
	{name: "first block asked by 16 hosts at once, in transfers beyond the origin's delay", figure: "zone.first_block16.transfers", op: atMost, bound: 4, unit: "x", command: zoneFirst},
	{name: "first block: origin reads per block", figure: "zone.first_block16.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zoneFirst},
	{name: "one host with a link four times slower: the others' time", figure: "zone.slow_link.others_x", op: atMost, bound: 1.1, unit: "x", command: zoneSlow},
	{name: "slow link: origin reads per distinct block", figure: "zone.slow_link.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zoneSlow},

	{name: "an owner killed with -9 in mid-burst: failed reads", figure: "zone.owner_killed.failed_reads", op: exactly, bound: 0, unit: "reads", command: zoneKilled},
	{name: "owner killed: wrong blocks", figure: "zone.owner_killed.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zoneKilled},
	{name: "owner killed: origin reads per distinct block, without the dead node's share", figure: "zone.owner_killed.over_share", op: atMost, bound: 1.01, unit: "reads", command: zoneKilled},
	{name: "owner killed: time by the bound", figure: "zone.owner_killed.vs_bound", op: shown, unit: "x", command: zoneKilled},
	{name: "rolling restart of all 16 under load: failed reads", figure: "zone.rolling_restart.failed_reads", op: exactly, bound: 0, unit: "reads", command: zoneRolling},
	{name: "rolling restart: wrong blocks", figure: "zone.rolling_restart.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zoneRolling},
	{name: "rolling restart: reads of the origin", figure: "zone.rolling_restart.origin_reads", op: shown, unit: "reads", command: zoneRolling},
	{name: "rolling restart: share of reads served without the origin, of that before", figure: "zone.rolling_restart.hit_rate_kept", op: atLeast, bound: 0.99, unit: "x", command: zoneRolling},
	{name: "rolling restart: share of reads served by the host's own tiers, of that before", figure: "zone.rolling_restart.own_hit_rate_kept", op: shown, unit: "x", command: zoneRolling},
	{name: "partition into 8 + 8 in mid-burst: failed reads", figure: "zone.partition.failed_reads", op: exactly, bound: 0, unit: "reads", command: zonePartition},
	{name: "partition: wrong blocks", figure: "zone.partition.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zonePartition},
	{name: "partition: most origin reads of one block", figure: "zone.partition.most_origin_reads_of_a_block", op: atMost, bound: 2, unit: "reads", command: zonePartition},
	{name: "healed: origin reads per distinct block of the next image", figure: "zone.partition.healed_origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: zonePartition},

	{name: "zone read of 512 KiB, links not shaped: p50 beside the local L2 read", figure: "zone.read_latency.l3_vs_l2_p50", op: atMost, bound: 1, unit: "x", command: zoneLatency},
	{name: "the same beside bare TCP", figure: "zone.read_latency.l3_vs_tcp_p50", op: shown, unit: "x", command: zoneLatency},
	{name: "zone read of 512 KiB: p50 (AWS Lambda: 0.55 ms)", figure: "zone.read_latency.l3_p50_ms", op: atMost, bound: 0.55, unit: "ms", command: zoneLatency},
	{name: "zone read of 512 KiB: p99.9 (AWS Lambda: 3.7 ms)", figure: "zone.read_latency.l3_p999_ms", op: atMost, bound: 3.7, unit: "ms", command: zoneLatency},
	{name: "local L2 read of the same: p50", figure: "zone.read_latency.l2_p50_ms", op: shown, unit: "ms", command: zoneLatency},
	{name: "local L2 read of the same: p99.9", figure: "zone.read_latency.l2_p999_ms", op: shown, unit: "ms", command: zoneLatency},
	{name: "as many bytes over bare TCP: p50", figure: "zone.read_latency.tcp_p50_ms", op: shown, unit: "ms", command: zoneLatency},
	{name: "as many bytes over bare TCP: p99.9", figure: "zone.read_latency.tcp_p999_ms", op: shown, unit: "ms", command: zoneLatency},

	{name: "soak with kill, restart, freeze, slow, partition, corrupt: minutes", figure: "zone.soak.minutes", op: atLeast, bound: 30, unit: "min", command: zoneSoak},
	{name: "soak: wrong blocks", figure: "zone.soak.wrong_blocks", op: exactly, bound: 0, unit: "blocks", command: zoneSoak},
	{name: "soak: failed reads", figure: "zone.soak.failed_reads", op: exactly, bound: 0, unit: "reads", command: zoneSoak},
	{name: "soak: goroutines, the last third by the second", figure: "zone.soak.goroutines_growth", op: atMost, bound: 1.1, unit: "x", command: zoneSoak},
	{name: "soak: resident memory, the last third by the second", figure: "zone.soak.resident_growth", op: atMost, bound: 1.1, unit: "x", command: zoneSoak},
}
