// Package placement decides who holds what in a zone and who gets it from whom.
// It is pure: no I/O, no clock but the times it is given, no goroutine. The peer
// tier acts on its decisions, and the simulator of the load test drives the very
// same code.
//
//   - [Ring] says which node owns a block: weighted consistent hashing with
//     bounded load. A ring is an immutable snapshot of a membership.
//   - [Desk] is a node's side of the burst protocol: serve, redirect or let wait.
//   - [Order] is a reader's side: which block of an image to ask for next.
//   - [Tree] is FaaSNet's Function Tree, the other way to spread an image.
//
// The words a node and its peer exchange are [Ask] and [Reply].
package placement
