package unpack

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow is what `zstd --long` uses without being asked for more.
const maxZstdWindow = 128 << 20

// decompress returns the tar archive in r.
func decompress(r io.Reader, form Form) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	switch form {
	case TarGzip:
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, malformed("gzip: %w", err)
		}
		return z, nil
	case TarZstd:
		z, err := zstd.NewReader(br, zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, malformed("zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}
