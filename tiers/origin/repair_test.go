package origin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/image"
)

// publishedBytes is an image of given bytes.
type publishedBytes []byte

func (p publishedBytes) Open(context.Context, func(image.Progress)) (*image.Content, error) {
	return &image.Content{MediaType: image.MediaTypeBytes, Size: int64(len(p)), Bytes: io.NopCloser(bytes.NewReader(p))}, nil
}

// testRepair publishes an image, damages two of its blocks and its manifest,
// publishes again and reads it back.
func testRepair(t *testing.T, o *Origin, verify image.Verification, damage func(key string)) {
	ctx := context.Background()
	in := publishedBytes(blocktest.Bytes(5, 3<<20))
	opts := image.PublishOptions{Name: "x", Target: o, Verify: verify}
	first, err := image.Publish(ctx, in, opts)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Manifest(ctx, first.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.DecodeVerified(first.Manifest, p)
	if err != nil {
		t.Fatal(err)
	}
	damage(blockKey(m.Blocks[0].ID))
	damage(blockKey(m.Blocks[3].ID))
	damage(manifestKey(first.Manifest))
	again, err := image.Publish(ctx, in, opts)
	if err != nil || again.Manifest != first.Manifest || again.New.Blocks != 2 || again.Shared.Blocks != first.New.Blocks-2 {
		t.Fatalf("published again: %+v, %v", again, err)
	}
	if got, err := o.Manifest(ctx, first.Manifest); err != nil || !bytes.Equal(got, p) {
		t.Errorf("manifest of %d bytes: %v", len(got), err)
	}
	r, err := image.NewReader(m, o, image.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := r.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), in) {
		t.Errorf("%d bytes read back: %v", out.Len(), err)
	}
}

func TestPublishRepairsAFolder(t *testing.T) {
	for name, tt := range map[string]struct {
		verify image.Verification
		damage func(path string) error
	}{
		"cut short": {image.VerifyLength, func(path string) error { return os.Truncate(path, 10) }},
		"flipped": {image.VerifyBytes, func(path string) error {
			p, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			p[len(p)/2] ^= 1
			return os.WriteFile(path, p, 0o644)
		}},
		"removed": {image.VerifyBytes, os.Remove},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			testRepair(t, open(t, Options{}, "file://"+dir), tt.verify, func(key string) {
				if err := tt.damage(filepath.Join(dir, key)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestPublishRepairsABucket(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	addr := gateway(t)
	for name, verify := range map[string]image.Verification{"length": image.VerifyLength, "bytes": image.VerifyBytes} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Options{}, fmt.Sprintf("s3://images/%s?endpoint=http://%s", name, addr))
			testRepair(t, o, verify, func(key string) {
				if err := o.Origins()[0].medium.put(context.Background(), key, []byte("cut short"), byDigest); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A store that knows no ranges answers with the whole object; one that hides the
// length has no block that counts as there.
func TestLengthByOtherStores(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	body := string(blocktest.Bytes(1, 100_000))
	hidden := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Thu, 01 Jan 1970 00:00:01 GMT")
		w.Header().Set("Content-Range", "bytes 0-0/*")
		w.WriteHeader(http.StatusPartialContent)
		fmt.Fprint(w, body[:1])
	}
	for name, tt := range map[string]struct {
		store http.Handler
		want  bool
	}{
		"ranges":         {&plainStore{`"1"`, body, true}, true},
		"no ranges":      {&plainStore{`"1"`, body, false}, true},
		"a hidden total": {http.HandlerFunc(hidden), false},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFlakyHandler(t, tt.store)
			o := open(t, Options{}, "s3://images?endpoint="+store.url)
			if ok, err := o.HasBlock(context.Background(), block.ID{1}, 100_000); ok != tt.want || err != nil {
				t.Errorf("HasBlock: %v, %v", ok, err)
			}
			if ok, err := o.HasBlock(context.Background(), block.ID{1}, 1); ok || err != nil {
				t.Errorf("HasBlock of one byte: %v, %v", ok, err)
			}
			if n := len(store.seen()); n != 2 {
				t.Errorf("%d requests for two calls", n)
			}
		})
	}
}
