package main

import "slices"

// The commands behind the goals of the host. They need root: images are mounted and
// containers started on hosts that are network namespaces.
const (
	hostTest = "go test -count=1 -timeout=60m -v -run "

	hostStarts   = hostTest + "TestProveHostStarts ./loadtest/host"
	hostFidelity = hostTest + "TestProveHostFidelity ./loadtest/host"
	hostReads    = hostTest + "TestProveHostReads ./loadtest/host"
	hostDedup    = hostTest + "TestProveHostDedup ./loadtest/host"
	hostRobust   = hostTest + "TestProveHostRobust ./loadtest/host"
)

// hostGoals are the goals of what users of a host feel.
var hostGoals = slices.Concat(
	startGoals("flask", "a web service in Python", 0),
	startGoals("node", "a web service in JavaScript", 0),
	startGoals("pyml", "an inference with scikit-learn", 4),
	startGoals("torch", "an inference with PyTorch", 4),
	startGoals("chrome", "headless Chromium", 3),
	[]goal{
		{name: "torch, 1.2 GiB: mounted on a warm daemon, from exec of the command to its end, median of five", figure: "host.start.torch.mount_ms", op: atMost, bound: 100, unit: "ms", command: hostStarts},

		{name: "all images, umoci unpack beside the image: entries that differ in content, mode, owner, time, attributes, links, devices", figure: "host.fidelity.umoci_differences", op: exactly, bound: 0, unit: "differences", command: hostFidelity},
		{name: "all images, mounted by the kernel's EROFS beside the image: entries that differ", figure: "host.fidelity.mounted_differences", op: exactly, bound: 0, unit: "differences", command: hostFidelity},
		{name: "all images, mounted by FUSE alone beside the image: entries that differ", figure: "host.fidelity.fuse_differences", op: exactly, bound: 0, unit: "differences", command: hostFidelity},
		{name: "all images: those of which fsck.erofs complains", figure: "host.fidelity.fsck_complaints", op: exactly, bound: 0, unit: "images", command: hostFidelity},
		{name: "all images: entries compared", figure: "host.fidelity.entries", op: shown, unit: "entries", command: hostFidelity},

		{name: "256 MiB file, sequential in 1 MiB, page cache dropped, L1 warm: mounted beside a plain go-fuse passthrough", figure: "host.read.cold_sequential_by_loopback", op: atLeast, bound: 0.5, unit: "x", command: hostReads, note: "the passthrough copies from the local disk; a mount asks the daemon, decodes and compares digests"},
	},
	readGoals(),
	[]goal{
		{name: "flask: stored bytes that v2 brings to an origin with v1", figure: "host.dedup.flask.v2_new_percent", op: atMost, bound: 1.5, unit: "%", command: hostDedup},
		{name: "node: stored bytes that v2 brings", figure: "host.dedup.node.v2_new_percent", op: atMost, bound: 1.5, unit: "%", command: hostDedup},
		{name: "pyml: stored bytes that v2 brings", figure: "host.dedup.pyml.v2_new_percent", op: atMost, bound: 1.5, unit: "%", command: hostDedup},
		{name: "chrome: stored bytes that v2 brings", figure: "host.dedup.chrome.v2_new_percent", op: atMost, bound: 1.5, unit: "%", command: hostDedup},
		{name: "torch: stored bytes that v2 brings", figure: "host.dedup.torch.v2_new_percent", op: atMost, bound: 1.5, unit: "%", command: hostDedup},
		{name: "pyml, node, torch to an origin with flask: raw bytes of new blocks by those of new whole files, padded to 4 KiB", figure: "host.dedup.across_by_files", op: atMost, bound: 1.06, unit: "x", command: hostDedup},

		{name: "flask mounted and unmounted in a row", figure: "host.robust.row.mounts", op: atLeast, bound: 200, unit: "mounts", command: hostRobust},
		{name: "in a row: mounts left behind", figure: "host.robust.row.leaked_mounts", op: exactly, bound: 0, unit: "mounts", command: hostRobust},
		{name: "in a row: processes left behind", figure: "host.robust.row.leaked_processes", op: exactly, bound: 0, unit: "processes", command: hostRobust},
		{name: "in a row: descriptors that the daemon has more", figure: "host.robust.row.leaked_descriptors", op: exactly, bound: 0, unit: "descriptors", command: hostRobust, note: "idle connections to the store, which the daemon keeps for a while, are among them"},
		{name: "flask mounted and unmounted in a row, pages kept", figure: "host.robust.kept_row.mounts", op: atLeast, bound: 200, unit: "mounts", command: hostRobust},
		{name: "in a row, pages kept: mounts that found the pages of the one before; others came before it was kept", figure: "host.robust.kept_row.kept", op: shown, unit: "mounts", command: hostRobust},
		{name: "in a row, pages kept, then dropped: mounts left behind", figure: "host.robust.kept_row.leaked_mounts", op: exactly, bound: 0, unit: "mounts", command: hostRobust},
		{name: "in a row, pages kept, then dropped: processes left behind", figure: "host.robust.kept_row.leaked_processes", op: exactly, bound: 0, unit: "processes", command: hostRobust},
		{name: "in a row, pages kept, then dropped: descriptors that the daemon has more", figure: "host.robust.kept_row.leaked_descriptors", op: exactly, bound: 0, unit: "descriptors", command: hostRobust},
		{name: "flask mounted at once on a cold host, each mount read as a whole", figure: "host.robust.at_once.mounts", op: atLeast, bound: 32, unit: "mounts", command: hostRobust},
		{name: "at once: origin reads per distinct block, since all share the daemon's L1", figure: "host.robust.at_once.origin_reads_per_block", op: exactly, bound: 1, unit: "reads", command: hostRobust},
		{name: "at once: blocks that the daemon served per distinct block", figure: "host.robust.at_once.served_per_block", op: shown, unit: "blocks", command: hostRobust},
		{name: "at once: mounts whose contents differ from the first one's", figure: "host.robust.at_once.differ", op: exactly, bound: 0, unit: "mounts", command: hostRobust},
		{name: "at once: mounts left behind", figure: "host.robust.at_once.leaked_mounts", op: exactly, bound: 0, unit: "mounts", command: hostRobust},
		{name: "at once: processes left behind", figure: "host.robust.at_once.leaked_processes", op: exactly, bound: 0, unit: "processes", command: hostRobust},
		{name: "at once: descriptors that the daemon has more", figure: "host.robust.at_once.leaked_descriptors", op: exactly, bound: 0, unit: "descriptors", command: hostRobust},
		{name: "kill -9 under load, three minutes: of the daemon", figure: "host.robust.killed.daemons", op: shown, unit: "kills", command: hostRobust},
		{name: "kill -9 under load: of the mount's process", figure: "host.robust.killed.mounts", op: shown, unit: "kills", command: hostRobust},
		{name: "kill -9 of the mount's process: the slowest cached umount --lazy that clears it away, files in use", figure: "host.robust.killed.slowest_umount_s", op: shown, unit: "s", command: hostRobust},
		{name: "kill -9 under load: files read and right", figure: "host.robust.killed.reads", op: above, bound: 0, unit: "reads", command: hostRobust},
		{name: "kill -9 under load: wrong bytes", figure: "host.robust.killed.wrong_reads", op: exactly, bound: 0, unit: "reads", command: hostRobust},
		{name: "kill -9 under load: reads that hang", figure: "host.robust.killed.hung_reads", op: exactly, bound: 0, unit: "reads", command: hostRobust},
		{name: "kill -9 under load: reads that fail though the mount's process lives", figure: "host.robust.killed.failed_alive", op: exactly, bound: 0, unit: "reads", command: hostRobust},
		{name: "kill -9 under load: reads that fail because it is dead", figure: "host.robust.killed.failed_dead", op: shown, unit: "reads", command: hostRobust},
		{name: "kill -9 under load: mounts left behind", figure: "host.robust.killed.leaked_mounts", op: exactly, bound: 0, unit: "mounts", command: hostRobust},
		{name: "kill -9 under load: processes left behind", figure: "host.robust.killed.leaked_processes", op: exactly, bound: 0, unit: "processes", command: hostRobust},

		{name: "a mount by the command: outlives the daemon, killed, told to end, a block that is nowhere, a name that moves, mistakes, bundles", command: hostTest + "TestMount ./cmd/cached"},
	},
)

// startGoals are the goals of one image's starts: a lazy one must be so many times
// faster than a pull; 0: everything is shown only.
func startGoals(image, about string, faster float64) []goal {
	g := func(name, figure, unit string) goal {
		return goal{name: image + ": " + name, figure: "host.start." + image + "." + figure, unit: unit, command: hostStarts}
	}
	want := func(x goal, o op, bound float64) goal {
		if bound > 0 {
			x.op, x.bound = o, bound
		}
		return x
	}
	decoded := func(x goal) goal {
		x.note = "each block is asked of the daemon, decompressed and compared with its digest on the two cores that the program runs on; the directory's pages are only read"
		return x
	}
	noted := func(x goal, note string) goal {
		x.note = note
		return x
	}
	const (
		pages  = "both read pages that are in memory, and what the program computes is nearly all of the time; one run of each"
		atOnce = "the daemon of the cold host asks for blocks, decompresses them and compares digests on the two cores that the program runs on, and on which the other host, the store and the switch run, too"
	)
	within, peer := 0.0, 0.0
	if faster > 0 {
		within, peer = 1.1, 10
	}
	return []goal{
		g(about+": (a) pull, unpack, start, origin link of 200 Mbit/s", "pull_s", "s"),
		g("(b) lazy start on a cold host", "lazy_s", "s"),
		want(g("(b) beside (a), faster by", "pull_by_lazy", "x"), atLeast, faster),
		g("(a) bytes over the origin's link", "pull_origin_mb", "MB"),
		g("(b) bytes over the origin's link", "lazy_origin_mb", "MB"),
		g("(b) blocks read, all from L4", "lazy_blocks", "blocks"),
		g("(c1) second start, page cache dropped, from L1", "l1_s", "s"),
		g("(c2) the same after a daemon restart, from L2", "l2_s", "s"),
		g("(c3) second container of the mount", "same_mount_s", "s"),
		g("(c4) second start after an umount, pages kept, the mount included", "kept_s", "s"),
		g("(c4) of it the mount", "kept_mount_ms", "ms"),
		g("(c4) blocks asked of the daemon", "kept_blocks", "blocks"),
		g("(d) from the unpacked directory, page cache dropped", "local_cold_s", "s"),
		g("(d) from the unpacked directory, page cache warm", "local_warm_s", "s"),
		decoded(want(g("(c1) by cold (d)", "l1_by_local", "x"), atMost, within)),
		decoded(want(g("(c2) by cold (d)", "l2_by_local", "x"), atMost, within)),
		noted(want(g("(c3) by warm (d)", "same_mount_by_local", "x"), atMost, within), pages),
		noted(want(g("(c4) by warm (d)", "kept_by_local", "x"), atMost, within), pages),
		g("(e) cold host in a zone where another has started it, links of 1 Gbit/s", "peer_s", "s"),
		noted(want(g("(e) beside (a), faster by", "pull_by_peer", "x"), atLeast, peer), atOnce),
		g("(e) bytes over the origin's link", "peer_origin_mb", "MB"),
		g("(e) blocks from the other host", "peer_blocks", "blocks"),
		g("(a) with 30 ms to the first byte", "pull_30ms_s", "s"),
		g("(b) with 30 ms to the first byte, read-ahead alone", "lazy_30ms_s", "s"),
		g("(b) beside (a) with 30 ms, faster by", "pull_by_lazy_30ms", "x"),
		g("(e) with 30 ms to the first byte", "peer_30ms_s", "s"),
		g("(e) beside (a) with 30 ms, faster by", "pull_by_peer_30ms", "x"),
	}
}

// readGoals are the rates of reads through a mount, which are shown.
func readGoals() (goals []goal) {
	for _, how := range []struct{ figure, name string }{
		{"sequential", "sequential in 1 MiB"}, {"random_128k", "random 128 KiB"}, {"random_4k", "random 4 KiB"},
	} {
		for _, temperature := range []string{"cold", "warm"} {
			at := temperature + "_" + how.figure
			goals = append(goals, goal{
				name: how.name + ", " + temperature + ": through the mount", figure: "host.read.mounted." + at + "_mb_per_s", unit: "MB/s", command: hostReads,
			}, goal{
				name: how.name + ", " + temperature + ": beside the local disk", figure: "host.read." + at + "_by_local", unit: "x", command: hostReads,
			})
			if at != "cold_sequential" { // that one is a goal
				goals = append(goals, goal{
					name: how.name + ", " + temperature + ": beside a plain go-fuse passthrough", figure: "host.read." + at + "_by_loopback", unit: "x", command: hostReads,
				})
			}
		}
	}
	return goals
}
