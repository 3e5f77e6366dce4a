package origin

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// What docs/stores.md says of our requests: stores that know neither uploads in signed
// chunks, nor checksums behind a body, nor conditional writes take ours.
func TestRequestsThatEveryStoreUnderstands(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	store := newFlaky(t, gateway(t))
	o := open(t, Options{}, "s3://images?endpoint="+store.url)
	ctx := t.Context()
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	manifest := []byte("a manifest")
	id := block.Sum(manifest)
	for what, do := range map[string]func() error{
		"block": func() error { return o.PutBlock(ctx, b) }, "manifest": func() error { return o.PutManifest(ctx, id, manifest) },
		"name": func() error { return o.PutRef(ctx, "app:v1", id) }, "name again": func() error { return o.PutRef(ctx, "app:v1", id) },
	} {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	puts := 0
	for _, r := range store.seen() {
		for name := range r.Header {
			if n := strings.ToLower(name); strings.HasPrefix(n, "x-amz-checksum-") || n == "x-amz-trailer" || n == "x-amz-sdk-checksum-algorithm" || n == "if-none-match" || n == "if-match" {
				t.Errorf("%s %s has a header %s", r.Method, r.URL.Path, name)
			}
		}
		if q := r.URL.Query(); q.Has("uploads") || q.Has("uploadId") {
			t.Errorf("%s %s uploads in parts", r.Method, r.URL)
		}
		if r.Method != http.MethodPut {
			continue
		}
		puts++
		if r.ContentLength <= 0 || strings.Contains(r.Header.Get("Content-Encoding"), "chunked") || len(r.TransferEncoding) > 0 {
			t.Errorf("%s is sent as %q, %v, of %d bytes", r.URL.Path, r.Header.Get("Content-Encoding"), r.TransferEncoding, r.ContentLength)
		}
		if sum := r.Header.Get("X-Amz-Content-Sha256"); len(sum) != hex.EncodedLen(sha256.Size) {
			t.Errorf("%s is signed with %q in place of its digest", r.URL.Path, sum)
		}
	}
	if puts < 3 {
		t.Errorf("%d objects were written, want 3 at least", puts)
	}
}
