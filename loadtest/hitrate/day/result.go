package day

// Counts are reads of blocks by the tier that served them.
type Counts struct {
	Starts int64 `json:"starts"`
	Reads  int64 `json:"reads"`
	L1     int64 `json:"l1"`
	L2     int64 `json:"l2"`
	L3     int64 `json:"l3"`
	L4     int64 `json:"l4"`

	Bytes       int64 `json:"bytes"`        // of all reads
	OriginReads int64 `json:"origin_reads"` // those of programs, and those of replicas
	OriginBytes int64 `json:"origin_bytes"`

	Distinct int64 `json:"distinct"`   // blocks that are read
	New      int64 `json:"new"`        // of them, those that the zone reads for the first time: no cache has them
	NewBytes int64 `json:"new_bytes"`  //
	Written  int64 `json:"l2_written"` // bytes, by all hosts
}

// OriginShare is the share of reads that reach the origin.
func (c Counts) OriginShare() float64 { return ratio(c.OriginReads, c.Reads) }

// NewShare is the share of reads that must reach it.
func (c Counts) NewShare() float64 { return ratio(c.New, c.Reads) }

// HitRate is the share of the bytes that programs read which the zone serves.
func (c Counts) HitRate() float64 { return 1 - ratio(c.OriginBytes, c.Bytes) }

// PerDistinct is how often a block is read in the mean.
func (c Counts) PerDistinct() float64 { return ratio(c.Reads, c.Distinct) }

// Share returns the part of the reads that n is.
func (c Counts) Share(n int64) float64 { return ratio(n, c.Reads) }

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// A Result is what came of a run.
type Result struct {
	Options       Options `json:"options"`
	Warm          Counts  `json:"warm"` // the time before, which begins with empty caches
	Day           Counts  `json:"day"`
	DistinctBytes int64   `json:"distinct_bytes"` // of the blocks that were read in the day
}

// ZoneL2 is how often the disks of the zone could hold what was read in the day.
func (r *Result) ZoneL2() float64 {
	return ratio(int64(r.Options.Hosts)*r.Options.L2, r.DistinctBytes)
}
