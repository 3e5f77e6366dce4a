// Package netlab gives a test hosts of its own: network namespaces joined by a
// switch, each behind a link of a stated rate, in which real programs run.
//
//	lab := netlab.New(t)
//	origin := lab.Host("origin", netlab.Link{Rate: 100 * netlab.Mbit})
//	h01 := lab.Host("h01", netlab.Link{Rate: 100 * netlab.Mbit})
//	store := origin.Start(t, exec.Command("versitygw", ...), testtool.Listening(origin.Address(9000)))
//	conn, err := h01.Dial(ctx, "tcp", origin.Address(9000)) // the test itself, as if it ran on h01
//
// A [Link] is shaped in both directions by a token bucket: at the host's end for
// what it sends, at the switch's port for what it receives, where a queue of
// bounded length drops as a switch does. [Lab.Partition] lets the switch lose
// what some hosts send to others, silently, and [Lab.Heal] ends that.
//
// Nothing of it touches the machine's own network, and nothing has a name there:
// a namespace exists as long as the test's process holds it open or a program
// started in it runs, and such programs are killed with the test's process. So
// several labs can exist at once, and a killed test leaves nothing behind.
//
// It needs root, Linux and iproute2; a test that goes without is skipped.
package netlab
