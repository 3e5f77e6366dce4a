// Package zonetest runs the nodes of a zone in one process, over a network whose
// faults a test scripts. It is for logic: what is read from where, how often,
// and what happens when nodes die, hang, lie or disagree. Bytes and times of real
// processes are internal/netlab's.
//
// A node has the tiers a daemon has, joined as cmd/cached joins them, and the
// real peer tier; the object store, the network and the membership are made up.
// Under testing/synctest time is virtual: links have rates, timeouts pass, and a
// test of half an hour takes seconds.
//
//	synctest.Test(t, func(t *testing.T) {
//		z := zonetest.New(t, zonetest.Options{Nodes: 16, Blocks: 64})
//		z.Kill(3)
//		err := z.Node(5).Read(t.Context(), z.ID(17))
//		...
//	})
//
// Whatever a test does, a node never delivers wrong bytes and its books balance:
// the zone checks that itself when the test ends.
package zonetest
