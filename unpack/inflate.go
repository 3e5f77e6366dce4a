package unpack

import (
	"archive/zip"
	"bufio"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// newInflater returns what opens files compressed by deflate, with the windows and
// buffers of those that are closed.
func newInflater() zip.Decompressor {
	var idle sync.Pool
	return func(r io.Reader) io.ReadCloser {
		f, ok := idle.Get().(*inflater)
		if !ok {
			f = &inflater{in: bufio.NewReaderSize(nil, 64<<10)}
			f.out = flate.NewReader(f.in)
		}
		f.in.Reset(r)
		_ = f.out.(flate.Resetter).Reset(f.in, nil) // fails for a dictionary only
		return &inflating{f, &idle}
	}
}

type inflater struct {
	in  *bufio.Reader
	out io.ReadCloser
}

// An inflating is an inflater at work, until it is closed.
type inflating struct {
	*inflater
	idle *sync.Pool
}

// Read implements io.Reader.
func (f *inflating) Read(p []byte) (int, error) {
	if f.inflater == nil {
		return 0, io.ErrClosedPipe
	}
	return f.out.Read(p)
}

// Close implements io.Closer.
func (f *inflating) Close() error {
	if f.inflater != nil {
		f.idle.Put(f.inflater)
		f.inflater = nil
	}
	return nil
}
