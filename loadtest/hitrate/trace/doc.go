// Package trace has sequences of reads to measure hit rates with: recorded starts of
// real images, public traces, and made-up hosts of a zone.
package trace
