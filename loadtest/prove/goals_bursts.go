package main

import (
	"fmt"
	"slices"
)

// The commands behind the goals of bursts of a real image. They need root, and build that
// image where it is not there yet.
const (
	burstModes    = simTest + "'TestProveZoneModes$' ./loadtest/zone"
	burstSim      = simTest + "TestProveZoneModesSimulated ./loadtest/zone"
	burstWhole    = simTest + "TestProveZoneModesWhole ./loadtest/zone"
	burstBusy     = simTest + "TestProveZoneModesBusy ./loadtest/zone"
	burstMost     = simTest + "TestProveZoneModesMost ./loadtest/zone"
	burstRecovery = simTest + "TestProveZoneRecovery ./loadtest/zone"
	burstDrill    = simTest + "TestProveZoneDrill ./loadtest/zone"
)

// realBurstGoals are those of bursts of real daemons, with a real image.
func realBurstGoals() []goal {
	return slices.Concat(
		modeGoals("direct", "each program to the store", nil),
		modeGoals("node_cache", "a cache on each host, no peers", nil),
		modeGoals("node_cache_prefetch", "a cache on each host, read ahead", nil),
		modeGoals("ring", "owners serve all, nobody is sent on", &once),
		modeGoals("ring_prefetch", "owners serve all, read ahead", &once),
		modeGoals("redirect", "as it is, without reading ahead", &flat),
		modeGoals("redirect_prefetch", "as it is", &flat),
		modeGoals("tree", "Function Tree", &once),
		modeGoals("tree_prefetch", "Function Tree, read ahead", &once),
		[]goal{
			{name: "simulated: as many bytes as a start of flask reads, no processor: 16 hosts by one", figure: "sim.modes.start.flat_x", op: shown, unit: "x", command: burstSim},
			{name: "simulated: all of flask, no processor: 16 hosts by one", figure: "sim.modes.whole.flat_x", op: shown, unit: "x", command: burstSim},

			{name: "flask, all of it, 16 hosts by one", figure: "zone.modes.whole.flat_x", op: atMost, bound: 1.1, unit: "x", command: burstWhole},
			{name: "flask, all of it, 16 hosts: until the last program has it, by (1 + floor(log2 N)/M) S/B", figure: "zone.modes.whole.many.vs_bound", op: shown, unit: "x", command: burstWhole},
			{name: "flask, all of it, 16 hosts: origin bytes by distinct bytes", figure: "zone.modes.whole.many.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: burstWhole},
			{name: "flask, all of it, 16 hosts: processor time of daemons, store and programs, by all of the machine's", figure: "zone.modes.whole.many.cpu_share", op: shown, unit: "x", command: burstWhole},

			{name: "start of flask, in a zone that has just had another one: 16 hosts by one", figure: "zone.modes.busy.flat_x", op: atMost, bound: 1.1, unit: "x", command: burstBusy},
			{name: "start of flask, in a zone that has just had another one: origin bytes by distinct bytes", figure: "zone.modes.busy.many.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: burstBusy},
			{name: "32 hosts, as many as the machine carries, by one host", figure: "zone.modes.most.flat_x", op: shown, unit: "x", command: burstMost},
			{name: "32 hosts: origin bytes by distinct bytes", figure: "zone.modes.most.many.origin_bytes_per_distinct", op: exactly, bound: 1, unit: "x", command: burstMost},
			{name: "32 hosts: processor time, as above", figure: "zone.modes.most.many.cpu_share", op: shown, unit: "x", command: burstMost},

			{name: "steady reads beside a burst on 16 hosts are as before again: after its arrival, each program to the store", figure: "zone.recovery.direct_s", op: shown, unit: "s", command: burstRecovery},
			{name: "steady reads as before again: in the zone", figure: "zone.recovery.redirect_s", op: shown, unit: "s", command: burstRecovery},
			{name: "steady reads as before again: less time than to the store (FaaSNet publishes 75.2 % less than its baseline)", figure: "zone.recovery.less_percent", op: atLeast, bound: 75.2, unit: "%", command: burstRecovery},

			{name: "drill under load, 4 hosts: hit rate before", figure: "zone.drill.hit_rate_before_percent", op: shown, unit: "%", command: burstDrill},
			{name: "drill: lowest hit rate", figure: "zone.drill.hit_rate_lowest_percent", op: shown, unit: "%", command: burstDrill},
			{name: "drill: until the hit rate is back at 99 % of that", figure: "zone.drill.recovery_s", op: shown, unit: "s", command: burstDrill},
			{name: "drill: what the store's link takes for these blocks alone", figure: "zone.drill.link_s", op: shown, unit: "s", command: burstDrill},
			{name: "drill: reads of one host in progress at the store, at most, by limits.origin-reads", figure: "zone.drill.in_progress_of_one_by_limit", op: atMost, bound: 1, unit: "x", command: burstDrill},
			{name: "drill: reads of all hosts in progress at the store, at most", figure: "zone.drill.in_progress", op: atMost, bound: 32, unit: "reads", command: burstDrill},
			{name: "drill: origin reads per distinct block", figure: "zone.drill.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: burstDrill},
			{name: "drill: reads that failed", figure: "zone.drill.failed_reads", op: exactly, bound: 0, unit: "reads", command: burstDrill},
			{name: "drill: the slowest read", figure: "zone.drill.slowest_read_s", op: shown, unit: "s", command: burstDrill},
		},
	)
}

// A demand is what a mode must achieve.
type demand struct {
	flat float64 // 16 hosts by one; 0: shown
	once float64 // origin bytes by distinct bytes
}

var (
	flat = demand{flat: 1.1, once: 1}
	once = demand{once: 1}
)

// modeGoals are those of one mode; nil wants nothing of it.
func modeGoals(mode, what string, must *demand) []goal {
	name, figure := "start of flask, "+what+": ", "zone.modes."+mode+"."
	var goals []goal
	for _, n := range []int{1, 4, 8, 16} {
		if n == 8 && must == nil {
			continue // without peers hosts take as long as they are many
		}
		goals = append(goals, goal{name: fmt.Sprintf("%s%d hosts", name, n), figure: fmt.Sprintf("%shosts%d.s", figure, n), op: shown, unit: "s", command: burstModes})
	}
	flatness := goal{name: name + "16 hosts by one", figure: figure + "flat_x", op: shown, unit: "x", command: burstModes}
	bytes := goal{name: name + "origin bytes by distinct bytes, at most", figure: figure + "most_origin_bytes_per_distinct", op: shown, unit: "x", command: burstModes}
	if must != nil {
		bytes.op, bytes.bound = exactly, must.once
		bytes.note = "behind queues that hold a third of a second a node that says nothing for a second is taken for dead, and a few of its blocks are read once more"
		if must.flat > 0 {
			flatness.op, flatness.bound = atMost, must.flat
			flatness.note = "4 hosts take 1.4 with processors busy to 0.28, so these are not the reason; queues of 1 MiB at 25 Mbit/s let asks wait behind blocks, for a second at worst (docs/adr/0011-peer-wire.md); the protocol alone, simulated, takes 1.12 (docs/bursts.md)"
		}
	}
	carried := goal{name: name + "16 hosts, bytes that the store's link carries, by distinct bytes", figure: figure + "hosts16.link_bytes_per_distinct", op: shown, unit: "x", command: burstModes}
	busy := goal{name: name + "16 hosts, processor time of daemons, store and programs, by all of the machine's", figure: figure + "hosts16.cpu_share", op: shown, unit: "x", command: burstModes}
	return append(goals, flatness, bytes, carried, busy)
}
