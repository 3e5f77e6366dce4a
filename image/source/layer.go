package source

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A layer is a tar archive, perhaps compressed.
type layer struct {
	label  string  // for errors
	digest v1.Hash // of the bytes that open yields; zero: not checked
	diffID v1.Hash // of the uncompressed archive; zero: not checked
	size   int64   // bytes that open yields, about, for the progress bar
	open   func() (io.ReadCloser, error)
}

// read gives the uncompressed archive to apply and verifies both digests, over
// all bytes whether apply reads them or not. moved hears of each read.
func (l layer) read(moved func(n int), apply func(io.Reader) error) (err error) {
	rc, err := l.open()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := rc.Close(); err == nil {
			err = closeErr
		}
	}()
	outer := newChecker(rc, l.digest, moved)
	plain, err := decompress(outer)
	if err != nil {
		return err
	}
	defer plain.Close()
	inner := newChecker(plain, l.diffID, nil)
	br := bufio.NewReaderSize(inner, 64<<10)
	// A short stream is no archive either; apply says how it fails.
	head, _ := br.Peek(tarMagicAt + len(tarMagic))
	head = bytes.Clone(head)
	if err := apply(br); err != nil {
		if !bytes.HasSuffix(head, tarMagic) {
			err = fmt.Errorf("not a tar archive: %w", err)
		}
		return l.blame(err, outer)
	}
	if _, err := io.Copy(io.Discard, br); err != nil {
		return l.blame(err, outer)
	}
	if _, err := io.Copy(io.Discard, outer); err != nil {
		return err
	}
	if err := outer.check("bytes"); err != nil {
		return err
	}
	return inner.check("uncompressed bytes")
}

// blame prefers the wrong digest as the reason for why a layer made no sense.
func (l layer) blame(err error, outer *checker) error {
	if _, copyErr := io.Copy(io.Discard, outer); copyErr == nil {
		if bad := outer.check("bytes"); bad != nil {
			return errors.Join(bad, err)
		}
	}
	return err
}

// errDigest: a blob is not what its name says.
var errDigest = errors.New("wrong digest")

// A checker hashes what is read through it.
type checker struct {
	r     io.Reader
	want  v1.Hash
	sum   hash.Hash // nil: nothing to check
	moved func(n int)
}

func newChecker(r io.Reader, want v1.Hash, moved func(n int)) *checker {
	c := &checker{r: r, want: want, moved: moved}
	if want != (v1.Hash{}) {
		c.sum = sha256.New()
	}
	return c
}

// Read implements io.Reader.
func (c *checker) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	if c.moved != nil && n > 0 {
		c.moved(n)
	}
	return n, err
}

func (c *checker) check(what string) error {
	if c.sum == nil {
		return nil
	}
	if c.want.Algorithm != "sha256" {
		return fmt.Errorf("digest %s: only sha256 is supported", c.want)
	}
	if got := hex.EncodeToString(c.sum.Sum(nil)); got != c.want.Hex {
		return fmt.Errorf("%w: its %s have sha256:%s, not %s", errDigest, what, got, c.want)
	}
	return nil
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	tarMagic  = []byte("ustar")
)

// tarMagicAt is where an archive's first header has its magic.
const tarMagicAt = 257

// maxZstdWindow is what `zstd --long` uses without being asked for more.
const maxZstdWindow = 128 << 20

// decompress returns the plain bytes of r, whose first bytes tell how it is
// compressed. Media types are not asked: the digest already fixes the bytes.
func decompress(r io.Reader) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	// A shorter stream has no magic, and its error comes with the next read.
	head, _ := br.Peek(len(zstdMagic))
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return named{z, "gzip", z.Close}, nil
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return named{z, "zstd", func() error { z.Close(); return nil }}, nil
	}
	return io.NopCloser(br), nil
}

// named says in errors which decompressor they come from.
type named struct {
	io.Reader
	name  string
	close func() error
}

func (n named) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", n.name, err)
	}
	return k, err
}

// Close implements io.Closer.
func (n named) Close() error { return n.close() }
