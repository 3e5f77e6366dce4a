package day

// Streams are what one host of a zone reads, to be read through caches of other kinds.
type Streams struct {
	Host Stream // what its programs ask for
	Disk Stream // what its L2 is asked for of the blocks it owns, by its programs and other hosts
}

// A Stream is reads of blocks in their order.
type Stream struct {
	IDs   []uint64
	Sizes []int64
}

func (s *Stream) add(b uint32, size int64) {
	s.IDs = append(s.IDs, uint64(b))
	s.Sizes = append(s.Sizes, size)
}

// Record runs a day and returns what its first host read; nothing is replaced there.
func Record(o Options) (*Streams, error) {
	o.Replaced = 0
	var s Streams
	_, err := run(o, &s)
	return &s, err
}
