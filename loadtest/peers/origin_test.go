package peers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/rate"
)

// originDelay is how long the store thinks before the first byte of an answer, as
// object stores do.
const originDelay = 20 * time.Millisecond

// An object is what all caches are asked for, by whatever name they have for it.
type object struct {
	id   block.ID
	sha  string // SHA-256 in hex, its name in a registry
	body []byte
	// parts are the blocks of an object that is larger than one.
	parts []object
}

func newObject(body []byte) object {
	sum := sha256.Sum256(body)
	return object{id: block.Sum(body), sha: hex.EncodeToString(sum[:]), body: body}
}

// seeds give every object bytes of its own.
var seeds atomic.Uint64

// randomObjects returns count objects of size bytes that were never seen before.
func randomObjects(count, size int) []object {
	objects := make([]object, count)
	for i := range objects {
		objects[i] = newObject(blocktest.Bytes(seeds.Add(1), size))
	}
	return objects
}

// largeObject returns an object of count blocks.
func largeObject(count int) object {
	parts := randomObjects(count, blockSize)
	var body []byte
	for _, p := range parts {
		body = append(body, p.body...)
	}
	o := newObject(body)
	o.parts = parts
	return o
}

const blockSize = 1 << 20

// key is where the store has the object: where the daemon looks for a block.
func (o object) key() string { return "/peers/blocks/" + o.id.Hex()[:2] + "/" + o.id.Hex() }

// An origin is the store behind all caches: objects in memory, by the protocols of S3,
// as far as it is to read, and of a registry.
type origin struct {
	mu      sync.RWMutex
	objects map[string]object // by path
}

func newOrigin() *origin { return &origin{objects: map[string]object{}} }

// add puts objects into the store, with their parts.
func (o *origin) add(objects ...object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range objects {
		for _, x := range append(x.parts, x) {
			o.objects[x.key()] = x
			o.objects[registryPath(x)] = x
		}
	}
}

// clear takes all objects out of the store.
func (o *origin) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.objects)
}

func registryPath(o object) string { return "/v2/peers/blobs/sha256:" + o.sha }

// A door is the way of one cache to the store.
type door struct {
	origin  *origin
	address string

	requests, bytes, inside atomic.Int64
}

// open opens a door until the test ends.
func (o *origin) open(tb testing.TB) *door {
	tb.Helper()
	l := rate.Listen(tb)
	d := &door{origin: o, address: l.Addr().String()}
	s := &http.Server{Handler: d}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	tb.Cleanup(func() { s.Close(); <-done })
	return d
}

func (d *door) url() string { return "http://" + d.address }

// ServeHTTP answers a request after originDelay.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.inside.Add(1)
	defer d.inside.Add(-1)
	d.origin.mu.RLock()
	o, ok := d.origin.objects[r.URL.Path]
	d.origin.mu.RUnlock()
	switch {
	case r.URL.Path == "/v2/": // what a registry is asked first
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		return
	case !ok:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>not here</Message></Error>`)
		return
	}
	select {
	case <-time.After(originDelay):
	case <-r.Context().Done():
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+o.sha+`"`)
	h.Set("Docker-Content-Digest", "sha256:"+o.sha)
	d.requests.Add(1)
	http.ServeContent(&counted{w, d}, r, "", time.Unix(1e9, 0), bytes.NewReader(o.body))
}

// counted counts the bytes of a body.
type counted struct {
	http.ResponseWriter
	door *door
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.door.bytes.Add(int64(n))
	return n, err
}

// idle waits until nobody is inside, since a cache may go on reading for itself when
// its client has been served.
func (d *door) idle(tb testing.TB) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	quiet := 0
	for deadline := time.Now().Add(time.Minute); quiet < 10; <-tick.C {
		if quiet++; d.inside.Load() > 0 {
			quiet = 0
		}
		if time.Now().After(deadline) {
			tb.Fatal("the store is still read after a minute")
		}
	}
}
