package main

// The commands behind the goals of hit rates.
const (
	hitrateDay      = simTest + "TestProveDay ./loadtest/hitrate/day"
	hitrateRecorded = simTest + "'TestRecordedStarts|TestAMissIsOneUse' ./loadtest/hitrate"
	hitrateModels   = simTest + "'TestL2BesideTheTier|TestL1ModelBesideTheTier' ./loadtest/hitrate/product"
)

// hitrateGoals are how much the caches keep of what is read again; docs/hitrate.md.
var hitrateGoals = []goal{
	{name: "simulated: 24 hours of 100 hosts after 24, bursts and new versions: share of reads at the origin (AWS Lambda: 0.06 %)", figure: "hitrate.day.origin_share_percent", op: atMost, bound: 0.06, unit: "%", command: hitrateDay},
	{name: "the same: of these, blocks the zone never had", figure: "hitrate.day.new_share_percent", op: shown, unit: "%", command: hitrateDay},
	{name: "the same: zone hit rate by bytes", figure: "hitrate.day.zone_hit_rate_percent", op: atLeast, bound: 99.9, unit: "%", command: hitrateDay},
	{name: "the same: reads of a block on average", figure: "hitrate.day.reads_per_block", op: shown, unit: "reads", command: hitrateDay},
	{name: "the same: origin reads for each new block", figure: "hitrate.day.origin_reads_per_new_block", op: shown, unit: "reads", command: hitrateDay},
	{name: "the same: reads served by the host itself", figure: "hitrate.day.local_share_percent", op: shown, unit: "%", command: hitrateDay},
	{name: "the same: what all disks hold by what is read in the day", figure: "hitrate.day.zone_l2_by_read", op: shown, unit: "x", command: hitrateDay},
	{name: "the same with half the L2: share of reads at the origin", figure: "hitrate.day.half_l2.origin_share_percent", op: shown, unit: "%", command: hitrateDay},
	{name: "the same with an eighth of the L2, which is 2.6 times what is read in the day", figure: "hitrate.day.eighth_l2.origin_share_percent", op: shown, unit: "%", command: hitrateDay},
	{name: "L1, the tier itself, on recorded starts at half of their bytes: hit rate", figure: "hitrate.recorded.l1.50", op: shown, unit: "", command: hitrateRecorded},
	{name: "the same by LRU", figure: "hitrate.recorded.lru.50", op: shown, unit: "", command: hitrateRecorded},
	{name: "the same by S3-FIFO", figure: "hitrate.recorded.s3-fifo.50", op: shown, unit: "", command: hitrateRecorded},
	{name: "the same by W-TinyLFU", figure: "hitrate.recorded.w-tinylfu.50", op: shown, unit: "", command: hitrateRecorded},
	{name: "L1 on recorded starts at a fifth of their bytes, a miss being one use", figure: "hitrate.l1.miss_is_one_use", op: shown, unit: "", command: hitrateRecorded},
	{name: "the same, a miss being two, as before ADR 0023", figure: "hitrate.l1.miss_is_two_uses", op: shown, unit: "", command: hitrateRecorded},
	{name: "simulated L2 beside the tier on a disk: difference of their hit rates", figure: "hitrate.l2_model.differs", op: atMost, bound: 0.01, unit: "", command: hitrateModels},
}
