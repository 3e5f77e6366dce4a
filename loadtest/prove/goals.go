package main

// mainGoals are the goals of one node, end to end.
var mainGoals = []goal{
	{name: "64 readers of one cold block: origin reads", figure: "flight.origin_reads_for_64_readers", op: exactly, bound: 1, unit: "reads", command: "go test ./tiers -count=1 -v -run Flight"},
}
