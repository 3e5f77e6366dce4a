// Package zone starts a zone of real daemons for measurements: each `cached
// serve` on a host of its own in a netlab, an S3 server behind a link of its own
// as their origin, one published image, and on each host an agent that reads it.
//
//	z := zone.Start(t, zone.Options{Nodes: 16, Link: link, OriginLink: link, Image: 256 << 20})
//	reports := z.Burst(t)        // all agents at the same moment
//	books := zone.SumBooks(t, z.Nodes) // the sum of the daemons' ledgers
//
// The tests of the package are the measurements that `make prove-zone` runs at
// full size. They need root.
package zone
