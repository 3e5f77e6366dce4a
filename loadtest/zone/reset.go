package zone

import "testing"

// Reset ends all daemons as a crash would, empties their disks and starts the first n
// again, with these flags, so that they spread images in this way. The store keeps
// what it has. With n of 0 no daemon runs.
func (z *Zone) Reset(tb testing.TB, n int, spread Spread, flags ...string) []*Node {
	tb.Helper()
	if spread != Alone && z.keys == nil {
		tb.Fatal("this zone was started without keys: its daemons cannot have peers")
	}
	for _, node := range z.Nodes {
		node.process.Kill()
		node.wipe(tb)
	}
	z.options.Spread, z.options.Flags = spread, flags
	z.running = n
	nodes := z.Nodes[:n]
	for _, node := range nodes {
		node.log.Reset()
		node.start()
	}
	for _, node := range nodes {
		node.awaitReady(tb)
	}
	if n > 0 {
		z.Await(tb, nodes)
	}
	return nodes
}
