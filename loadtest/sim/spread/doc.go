// Package spread simulates how an image spreads from its origin to the hosts of
// a zone that start it at once, to a thousand or ten thousand of them.
//
// Hosts have a link up and a link down, the origin has a link and a delay to the
// first byte, hosts may die or have slow links. Bytes move in chunks: an uplink
// carries one chunk at a time, in turn from the few sends that have bytes to
// send; a reader's downlink takes chunks in the order they come; a send is a
// window of chunks ahead of its reader at most. That is what fair queues and TCP
// come to on links that are not oversubscribed (docs/adr/0025-simulator.md).
//
// [Cached] drives the very code of the product: [placement.Ring] for the owners,
// a [placement.Desk] and two [placement.Order] for each host, [placement.Tree] for
// [CachedTree]. The other protocols are models of what the field does, each as its
// authors published it; where they left something open the model takes what is
// kindest to them, and says so.
//
// A run is a pure function of its [Zone], the seed included.
package spread
