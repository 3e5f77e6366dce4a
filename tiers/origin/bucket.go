package origin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/zonecache/cached/block"
)

// A bucket is a medium in an S3-compatible store. It uses the library's core
// client, with the region set and retries off, because each call is then one
// request: the ordinary client looks up the bucket's region and the object's
// length first, and repeats requests in ways a read with a deadline cannot steer.
type bucket struct {
	core      minio.Core
	transport *http.Transport
	keys      *keyring
	name      string
	prefix    string
	timeouts  Timeouts
	pulse     pulse
}

var _ medium = (*bucket)(nil)

func newBucket(l location, t Timeouts, observe func(string, int64)) (*bucket, error) {
	keys, err := newKeyring(l)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(l, t)
	if err != nil {
		return nil, err
	}
	host, insecure := strings.CutPrefix(l.endpoint, "http://")
	host = strings.TrimPrefix(host, "https://")
	if host == "" {
		host = "s3.amazonaws.com" // the library puts the region in
	}
	lookup := map[string]minio.BucketLookupType{
		"auto": minio.BucketLookupAuto, "on": minio.BucketLookupPath, "off": minio.BucketLookupDNS,
	}
	core, err := minio.NewCore(host, &minio.Options{
		Creds:        keys.credentials,
		Secure:       !insecure,
		Region:       l.region,
		BucketLookup: lookup[l.pathStyle],
		MaxRetries:   1,
		Transport:    &observed{next: transport, observe: observe},
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	return &bucket{core: *core, transport: transport, keys: keys, name: l.bucket, prefix: l.prefix, timeouts: t}, nil
}

// rangeOfOne asks for one byte: a GET names what is missing in its answer, the
// object or the bucket, which a HEAD does not, and the object's length when it is
// there.
const rangeOfOne = "bytes=0-0"

func (b *bucket) length(ctx context.Context, key string) (int64, error) {
	var n int64
	err := b.do(ctx, func(ctx context.Context, _ *attempt) error {
		var opts minio.GetObjectOptions
		opts.Set("Range", rangeOfOne)
		body, object, header, err := b.core.GetObject(ctx, b.name, b.prefix+key, opts)
		switch {
		case err == nil:
			// Reading to the end lets the connection be used again.
			_, _ = io.CopyN(io.Discard, body, 2)
			_ = body.Close()
			n = wholeLength(header.Get("Content-Range"), object.Size)
		case code(err) == minio.InvalidRange: // it is there, and empty
			n = 0
		default:
			return err
		}
		return nil
	})
	return n, err
}

// wholeLength returns the length of an object from the head of an answer to
// rangeOfOne, or -1: "bytes 0-0/<length>", or no range and a body of the whole
// object by a store that knows no ranges.
func wholeLength(contentRange string, body int64) int64 {
	if contentRange == "" {
		return body
	}
	_, whole, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return -1 // "*": the store does not say
	}
	return n
}

func (b *bucket) put(ctx context.Context, key string, data []byte, _ naming) error {
	sum := sha256.Sum256(data)
	return b.do(ctx, func(ctx context.Context, a *attempt) error {
		opts := minio.PutObjectOptions{
			ContentType: "application/octet-stream",
			// Sign the digest given below, not the upload chunk by chunk.
			DisableContentSha256: true,
		}
		body := &upload{r: bytes.NewReader(data), a: a}
		// The transport may go on reading the body after it returned an answer
		// or an error, but the bytes are borrowed from our caller.
		defer body.end()
		_, err := b.core.PutObject(ctx, b.name, b.prefix+key, body, int64(len(data)), "", hex.EncodeToString(sum[:]), opts)
		return err
	})
}

func (b *bucket) remove(ctx context.Context, key string) error {
	return b.do(ctx, func(ctx context.Context, _ *attempt) error {
		err := b.core.RemoveObject(ctx, b.name, b.prefix+key, minio.RemoveObjectOptions{})
		if missing(err) {
			return nil
		}
		return err
	})
}

func (b *bucket) list(ctx context.Context, dir string) ([]entry, error) {
	var all []entry
	err := b.do(ctx, func(ctx context.Context, a *attempt) error {
		all = nil
		opts := minio.ListObjectsOptions{Prefix: b.prefix + dir}
		for object := range b.core.ListObjectsIter(ctx, b.name, opts) {
			if object.Err != nil {
				return object.Err
			}
			a.moved()
			name := strings.TrimPrefix(object.Key, opts.Prefix)
			if name != "" && !strings.Contains(name, "/") {
				all = append(all, entry{name, object.LastModified})
			}
		}
		return ctx.Err()
	})
	return all, err
}

// check asks for an object that is not there: a store that says so knows the
// bucket and takes the key.
func (b *bucket) check(ctx context.Context) error {
	_, err := b.length(ctx, "refs/.check")
	if errors.Is(err, block.ErrNotFound) {
		return nil
	}
	return err
}

func (b *bucket) close() error {
	b.transport.CloseIdleConnections()
	b.keys.close()
	return nil
}

// An upload is the body of a PUT. It tells its attempt of every piece that was
// taken, and gives nothing once it has ended.
type upload struct {
	mu sync.Mutex
	r  *bytes.Reader // nil after the end
	a  *attempt
}

func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.r == nil {
		return 0, io.ErrClosedPipe
	}
	u.a.moved()
	return u.r.Read(p)
}

func (u *upload) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.r = nil
}
