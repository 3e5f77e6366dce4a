// Package gossip knows who is in the zone. Every node tells the others that it is
// there, probes one of them a few times a second, and passes on what it heard;
// what comes out is a [placement.Ring] that all nodes agree on within seconds.
//
// A node that joins sends its name, zone, peer address, weight, version and
// measured rate (meta.go) to a seed and receives everybody's. A node that dies
// stops answering probes: whoever notices asks others to probe it as well, it is
// suspected, and, if it does not speak up, dead on all nodes. Only these probes
// remove a node. A node that failed to read from a dead one tells the zone at once
// with a notice ([Membership.NoteDeath]), which lets others avoid that node but
// decides nothing. A node that drains says so first ([Membership.Leave]): it is
// out of everybody's ring while it still answers.
//
// A change of the membership makes a new ring, an immutable snapshot, which is
// swapped atomically: [Membership.Ring] never waits and never changes under its
// reader. Who is suspected stays in the ring until the verdict, because each
// change of the ring costs reads.
//
// # Keeping strangers out
//
// Every packet carries the zone as a label, in clear and authenticated, and every
// node says its zone: a node of another zone never enters the ring. With a key
// file everything is encrypted (AES-GCM) with its first key and read with any of
// its keys. A node with other keys is a stranger: what it sends is counted, named
// in a log line now and then, and otherwise ignored. Keys are replaced without
// downtime in three steps, each finished on all nodes before the next; the file
// is read again when it changes:
//
//  1. append the new key to the file: everybody can read it
//  2. move it to the first line: everybody writes with it
//  3. delete the old one
//
// # Names
//
// A name belongs to whoever came first. A second node of that name stays outside,
// both say so in their logs, and it keeps trying, so that a node that restarts
// under a new address is back as soon as its former self is known to be dead.
//
// # What nodes hold
//
// With [Options.Residency] nodes also tell how much they hold of what starts need
// (package residency): changes behind all other news, in packets that go out anyway,
// at a pace that keeps what a node hears below 16 KiB/s in a zone of any size; and
// all that is known with each exchange of states, up to 1 MiB. Who is no member
// is not listened to about itself, and forgotten.
//
// # Ownership and concurrency
//
// A [Membership] is safe for concurrent use. Its callbacks are called from one
// goroutine, in order. Close waits for all goroutines, also for those of
// memberlist, which is used by this package only. No time of day is ever sent or
// compared; clocks may jump. (A node's runs are numbered by its clock, and one whose
// clock went back numbers its run anew when it hears of a later one.)
package gossip
