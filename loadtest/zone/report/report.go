// Package report is what the agent of the zone's measurements tells of its
// reads.
package report

import "github.com/zonecache/cached/block"

// A Report is what one agent read. Times are seconds since its start signal.
type Report struct {
	Manifest string  // the image's id
	Opened   float64 // when the image was open
	First    float64 // when the first block was there
	Last     float64 // when the last block was there

	Blocks, Bytes int64
	From          map[block.Tier]int64 // blocks by the tier that served them
	Failed        int64                // reads that gave no block
	Wrong         int64                // reads whose bytes were not the block
	Refused       int64                // asked again because no daemon listened
	Errors        []string             // what the first failures said

	OnTime []Read // of an agent that reads when reads are due

	P50, P99, P999, Slowest float64 // of single reads
	CPU                     float64 // seconds of processor time since the start signal
}

// A Read is one that began when it was due.
type Read struct {
	Due    float64 // seconds since the start signal
	Took   float64 // seconds since then
	Failed bool
}
