package main

import (
	"fmt"
	"slices"
)

// The command behind the comparison with other caches: all of it in one run, as it is
// the run that makes figures comparable.
const peersTest = "go test -count=1 -timeout=40m -v -run TestProvePeers ./loadtest/peers"

// peers are the caches beside which the daemon is measured, and what they are.
var peers = []struct{ name, what string }{
	{"nginx-slice", "nginx (proxy_cache, slices of 1 MiB)"},
	{"nginx", "nginx (proxy_cache)"},
	{"varnish", "varnish"},
	{"registry", "distribution's pull-through registry"},
	{"groupcache", "groupcache behind net/http"},
}

// peerGoals are what the daemon does beside other caches, over the same bytes.
func peerGoals() []goal {
	var goals []goal
	for _, size := range []string{"256k", "1024k"} {
		for _, clients := range []int{8, 1, 32} {
			goals = append(goals, warmGoals(size, clients)...)
		}
	}
	return slices.Concat(goals, coldGoals("block", "1 MiB"), coldGoals("large", "64 MiB"), clientGoals())
}

// warmGoals are of reads that all caches serve from memory. At 8 clients there is a
// goal, the one of the main set beside nginx; where a client waits for the daemon, or
// the machine's cores for each other, a ratio says more of the machine.
func warmGoals(size string, clients int) []goal {
	run := fmt.Sprintf("peers.warm.%s_%d", size, clients)
	what := fmt.Sprintf("warm, %s, clients: %d: ", map[string]string{"256k": "256 KiB", "1024k": "1 MiB"}[size], clients)
	var goals []goal
	for _, p := range peers {
		g := goal{name: what + "rate by that of " + p.what, figure: run + ".vs_" + p.name, op: shown, unit: "x", command: peersTest}
		if clients == 8 {
			g.op, g.bound = atLeast, 0.9
		}
		goals = append(goals, g)
	}
	for _, p := range append([]struct{ name, what string }{{"cached", "the daemon"}}, peers...) {
		for _, f := range []struct{ figure, what, unit string }{
			{"gbps", "rate", "GB/s"}, {"p50_us", "p50", "us"}, {"p99_us", "p99", "us"}, {"server_s_per_gb", "its processor's time", "s/GB"},
		} {
			goals = append(goals, goal{name: what + p.what + ": " + f.what, figure: run + "." + p.name + "." + f.figure, op: shown, unit: f.unit, command: peersTest})
		}
	}
	return goals
}

// coldGoals are of 16 readers that ask at once for what no cache has.
func coldGoals(kind, size string) []goal {
	run := "peers.cold." + kind
	what := "16 readers of " + size + " that nobody has: "
	goals := []goal{
		{name: what + "bytes read of the store by distinct bytes, the daemon", figure: run + ".cached.origin_by_distinct", op: exactly, bound: 1, unit: "x", command: peersTest},
		{name: what + "until the last one has all, the daemon", figure: run + ".cached.last_s", op: shown, unit: "s", command: peersTest},
	}
	for _, p := range peers {
		goals = append(goals,
			goal{name: what + "bytes read of the store, " + p.what, figure: run + "." + p.name + ".origin_by_distinct", op: shown, unit: "x", command: peersTest},
			goal{name: what + "time of the last by the daemon's, " + p.what, figure: run + ".vs_" + p.name, op: shown, unit: "x", command: peersTest})
	}
	return goals
}

// clientGoals are what wrk and ghz print, 256 KiB by 8 connections.
func clientGoals() []goal {
	goals := []goal{
		{name: "wrk: the daemon, raw", figure: "peers.wrk.cached.gbps", op: shown, unit: "GB/s", command: peersTest},
		{name: "wrk: the daemon, raw, by its path for plain clients", figure: "peers.wrk.vs_alias", op: shown, unit: "x", command: peersTest},
		{name: "wrk: the daemon, raw, by the Connect protocol's GET", figure: "peers.wrk.vs_connect-get", op: shown, unit: "x", command: peersTest},
	}
	for _, p := range peers {
		goals = append(goals, goal{name: "wrk: the daemon, raw, by " + p.what, figure: "peers.wrk.vs_" + p.name, op: shown, unit: "x", command: peersTest})
	}
	return append(goals,
		goal{name: "ghz: the daemon over gRPC", figure: "peers.ghz.cached.gbps", op: shown, unit: "GB/s", command: peersTest},
		goal{name: "ghz: the daemon by a server of grpc-go that answers from a map", figure: "peers.ghz.vs_grpc-go", op: atLeast, bound: 0.9, unit: "x", command: peersTest})
}
