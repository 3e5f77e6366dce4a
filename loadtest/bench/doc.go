// Package bench loads running daemons through the real client and says what came of
// it. `cached bench` is its command.
//
//	result, err := bench.Run(ctx, bench.Options{
//		Targets: []bench.Target{{Client: client}}, Images: images,
//		Process: process, Duration: 30 * time.Second,
//	})
//	result.WriteHTML(w)
//
// What arrives is a read of one block, or a start: all reads of an image, several at
// once, ready with the last. In an open loop things arrive when a
// [workload.Process] says, whether or not earlier ones have ended, and a latency is
// counted from the moment at which it should have begun: a daemon that stands still is
// seen in the tail by everything that would have arrived meanwhile, and not by one
// read per client (no coordinated omission). In a closed loop a number of clients ask
// again as soon as they are answered, which shows what a daemon can do, and whose
// latencies say nothing about one that users do not wait for.
//
// Within a start the reads follow each other, as a program's do: theirs are
// counted from when they are asked, and the start from when it should have begun.
//
// Who served a read is what its answer says. Reads of the origin are those of the
// daemons' ledgers, before and after; processor time is the client's own and that of
// the daemons' metrics. Latencies are kept in HDR histograms to three digits, from a
// microsecond to ten minutes.
//
// A [Recorder] is written by all readers under one lock, held for a histogram's
// increment; everything else belongs to [Run], which waits for all it has begun.
package bench
