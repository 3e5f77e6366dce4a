package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/zonecache/cached/block"
)

// A download is an object on its way into memory. It outlives a connection that
// was cut: the next attempt asks for the rest.
type download struct {
	key   string
	limit int64
	alloc func(n int) []byte

	buf      []byte // nil until the object's length is known
	got      int    // how much of buf is filled
	etag     string // of the object the bytes came from
	modified time.Time
}

func (b *bucket) get(ctx context.Context, key string, limit int64, alloc func(n int) []byte) (time.Time, error) {
	d := download{key: b.prefix + key, limit: limit, alloc: alloc}
	err := b.do(ctx, func(ctx context.Context, a *attempt) error {
		return d.fetch(ctx, b, a)
	})
	return d.modified, err
}

// fetch does one request for what is still missing.
func (d *download) fetch(ctx context.Context, b *bucket, a *attempt) error {
	var opts minio.GetObjectOptions
	if d.got > 0 {
		opts.Set("Range", fmt.Sprintf("bytes=%d-", d.got))
		if d.etag != "" { // never join pieces of two objects
			if err := opts.SetMatchETag(d.etag); err != nil {
				return err
			}
		}
	}
	body, object, header, err := b.core.GetObject(ctx, b.name, d.key, opts)
	if err != nil {
		if c := code(err); d.got > 0 && (c == minio.PreconditionFailed || c == minio.InvalidRange) {
			return errChanged
		}
		return err
	}
	defer body.Close()
	if err := d.begin(object, header); err != nil {
		return err
	}
	for d.got < len(d.buf) {
		n, err := body.Read(d.buf[d.got:])
		d.got += n
		if n > 0 {
			a.moved()
		}
		if d.got < len(d.buf) && err != nil {
			return &cutError{got: d.got, of: len(d.buf), cause: err}
		}
	}
	return nil
}

var errChanged = errors.New("the object was replaced while it was read")

// begin checks the head of an answer against what is here already.
func (d *download) begin(object minio.ObjectInfo, header http.Header) error {
	if object.Size < 0 {
		return fmt.Errorf("%w: the store did not say how long the object is", block.ErrUnavailable)
	}
	rest := int64(len(d.buf) - d.got)
	switch {
	case d.buf == nil:
		if object.Size > d.limit {
			return fmt.Errorf("%w: %d bytes, at most %d are allowed", block.ErrCorrupt, object.Size, d.limit)
		}
		d.buf = d.alloc(int(object.Size))
		d.etag, d.modified = object.ETag, object.LastModified
		return nil
	case object.ETag != d.etag:
		return errChanged
	case d.got > 0 && object.Size == rest &&
		strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.got)):
		return nil
	case object.Size == int64(len(d.buf)) && header.Get("Content-Range") == "":
		d.got = 0 // a store that knows no ranges sends all of it again
		return nil
	}
	return errChanged
}

// A cutError is a body that ended before its time.
type cutError struct {
	got, of int
	cause   error
}

func (e *cutError) Error() string {
	if errors.Is(e.cause, io.ErrUnexpectedEOF) || errors.Is(e.cause, io.EOF) {
		return fmt.Sprintf("connection cut after %d of %d bytes", e.got, e.of)
	}
	return fmt.Sprintf("connection failed after %d of %d bytes: %v", e.got, e.of, e.cause)
}
