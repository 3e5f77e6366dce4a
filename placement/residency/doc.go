// Package residency knows which nodes of a zone hold how much of what the starts
// of an image need. It is pure: no I/O, no clock but the times it is given.
//
// A node says of some hundred sets of blocks how much of each it holds: an [Entry]
// is the hash that names the set, a share in steps of 1/250 and the number of the
// change. What nodes say of themselves spreads as [Record]s, by messages that may
// be lost, doubled, or overtaken by others: [Table.Merge] comes to the same table
// in whatever order they arrive. [Table.Holders] answers who holds how much of a
// set out of memory.
//
// A record with Full is complete: what it leaves out and is not newer than Full is
// gone. One without is news: what it says, and nothing about the rest. Runs of a
// node are told apart by Start; a later run replaces an earlier one altogether.
//
// A Table is safe for concurrent use. A Record's entries never change.
package residency
