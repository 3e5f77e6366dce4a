package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// tally keeps what Observe was told.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	bytes map[string]int64
}

func (t *tally) observe(op string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count, t.bytes = map[string]int{}, map[string]int64{}
	}
	t.count[op]++
	t.bytes[op] += n
}

// flakyOrigin is a bucket behind a proxy that holds b.
func flakyOrigin(t *testing.T, opts Options, b block.Block) (*Origin, *flaky) {
	t.Helper()
	withKeys(t, accessKey, secretKey)
	store := newFlaky(t, gateway(t))
	o := open(t, opts, "s3://images/p?endpoint="+store.url)
	mustPut(t, o, b)
	store.seen()
	return o, store
}

// script lets the n-th request fail as told and passes all others.
func script(faults ...injected) func(int, *http.Request) injected {
	return func(n int, _ *http.Request) injected {
		if n <= len(faults) {
			return faults[n-1]
		}
		return injected{}
	}
}

var slowDown = injected{status: http.StatusServiceUnavailable, body: s3Error("SlowDown", "Please reduce your request rate.")}

func TestEveryCallIsOneRequest(t *testing.T) {
	ctx := context.Background()
	b := blocktest.Block(1, 256<<10)
	defer b.Release()
	var seen tally
	o, store := flakyOrigin(t, Options{Observe: seen.observe}, b)
	other := blocktest.Block(2, 1000)
	defer other.Release()
	calls := []struct {
		name string
		call func() error
	}{
		{"GET", func() error { blocktest.CheckRead(t, o, b, block.Origin); return nil }},
		{"GET", func() error { blocktest.CheckError(t, o, block.ID{}, block.ErrNotFound); return nil }},
		{"GET", func() error { _, err := o.HasBlock(ctx, b.ID(), 256<<10); return err }},
		{"GET", func() error { _, err := o.HasBlock(ctx, block.ID{}, 1); return err }},
		{"PUT", func() error { return o.PutBlock(ctx, other) }},
		{"PUT", func() error { return o.PutRef(ctx, "r", block.ID{}) }},
		{"GET", func() error { _, err := o.Ref(ctx, "r"); return err }},
		{"GET", func() error { return o.Check(ctx) }},
	}
	for i, c := range calls {
		if err := c.call(); err != nil {
			t.Fatal(err)
		}
		if reqs := store.seen(); len(reqs) != 1 || reqs[0].Method != c.name {
			t.Errorf("call %d: %d requests, want one %s", i, len(reqs), c.name)
		}
	}
	if seen.count[OpGet] != 3 || seen.bytes[OpGet] != 256<<10+int64(len(block.ID{}.String())+1) ||
		seen.count[OpHas] != 3 || seen.count[OpPut] != 3 || seen.bytes[OpPut] != 256<<10+1000+int64(len(block.ID{}.String())+1) {
		t.Errorf("observed %v and bytes %v", seen.count, seen.bytes)
	}
}

func TestSlowDownIsRetried(t *testing.T) {
	b := blocktest.Block(1, 50_000)
	defer b.Release()
	o, store := flakyOrigin(t, Options{}, b)
	store.script = script(slowDown, slowDown)
	blocktest.CheckRead(t, o, b, block.Origin)
	if n := len(store.seen()); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestSlowDownForeverIsOverloadedWithinTheDeadline(t *testing.T) {
	b := blocktest.Block(1, 50_000)
	defer b.Release()
	o, store := flakyOrigin(t, Options{}, b)
	store.script = func(int, *http.Request) injected { return slowDown }
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	_, err := o.ReadBlock(ctx, b.ID())
	if !errors.Is(err, block.ErrOverloaded) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want ErrOverloaded", err)
	}
	if n := len(store.seen()); n < 2 || n > overload {
		t.Errorf("%d requests, want 2 to %d", n, overload)
	}
}

// A store that is full will be full a moment later.
func TestAFullStoreIsAskedOnce(t *testing.T) {
	b := blocktest.Block(1, 50_000)
	defer b.Release()
	for code, status := range map[string]int{"InsufficientStorage": http.StatusInsufficientStorage, "QuotaExceeded": http.StatusForbidden} {
		o, store := flakyOrigin(t, Options{}, b)
		store.script = func(int, *http.Request) injected { return injected{status: status, body: s3Error(code, "No room.")} }
		if err := o.PutBlock(context.Background(), b); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("%s: error %v, want that it is full", code, err)
		}
		if n := len(store.seen()); n != 1 {
			t.Errorf("%s: %d requests, want one", code, n)
		}
	}
}

func TestServerErrors(t *testing.T) {
	b := blocktest.Block(1, 50_000)
	defer b.Release()
	o, store := flakyOrigin(t, Options{}, b)
	internal := injected{status: 500, body: s3Error("InternalError", "We encountered an internal error.")}
	bare := injected{status: 502, body: "<html>Bad Gateway " + secretKey + " " + accessKey + "</html>"}
	t.Run("passing", func(t *testing.T) {
		store.script = script(internal, bare)
		blocktest.CheckRead(t, o, b, block.Origin)
		store.seen()
	})
	t.Run("lasting", func(t *testing.T) {
		store.script = func(int, *http.Request) injected { return bare }
		_, err := o.ReadBlock(context.Background(), b.ID())
		if !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("error %v, want ErrUnavailable", err)
		}
		checkSays(t, "read", err, "502")
		if n := len(store.seen()); n != often {
			t.Errorf("%d requests, want %d", n, often)
		}
	})
	t.Run("a store that echoes the keys", func(t *testing.T) {
		store.script = func(_ int, r *http.Request) injected {
			return injected{status: 400, body: s3Error("Odd", r.Header.Get("Authorization")+" "+secretKey)}
		}
		_, err := o.HasBlock(context.Background(), b.ID(), 50_000)
		checkSays(t, "has", err, "[redacted]")
	})
}

func TestCutConnectionIsResumed(t *testing.T) {
	b := blocktest.Block(1, 700_000)
	defer b.Release()
	var seen tally
	o, store := flakyOrigin(t, Options{Observe: seen.observe}, b)
	store.script = script(injected{then: cut, limit: 200_000}, injected{then: cut}, injected{then: cut, limit: 300_000})
	blocktest.CheckRead(t, o, b, block.Origin)
	reqs := store.seen()
	if len(reqs) != 4 || reqs[0].Header.Get("Range") != "" || reqs[3].Header.Get("Range") != "bytes=500000-" {
		t.Errorf("%d requests, the last for %q", len(reqs), reqs[len(reqs)-1].Header.Get("Range"))
	}
	if seen.bytes[OpGet] != 700_000 {
		t.Errorf("%d bytes observed", seen.bytes[OpGet])
	}
}

func TestConnectionThatIsAlwaysCutIsUnavailable(t *testing.T) {
	b := blocktest.Block(1, 700_000)
	defer b.Release()
	pool := block.NewPool(block.DefaultIdle)
	o, store := flakyOrigin(t, Options{Pool: pool}, b)
	store.script = func(int, *http.Request) injected { return injected{then: cut, limit: 10_000} }
	_, err := o.ReadBlock(context.Background(), b.ID())
	if !errors.Is(err, block.ErrUnavailable) {
		t.Fatalf("error %v, want ErrUnavailable", err)
	}
	checkSays(t, "read", err, "cut after 40000 of 700000 bytes")
	if n := len(store.seen()); n != often {
		t.Errorf("%d requests, want %d", n, often)
	}
	if n := pool.InUse(); n != 0 {
		t.Errorf("%d bytes of buffers lost", n)
	}
}

func TestStalledConnection(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	o, store := flakyOrigin(t, Options{Timeouts: Timeouts{Stall: 150 * time.Millisecond}}, b)
	t.Run("in the body", func(t *testing.T) {
		store.script = script(injected{then: stall, limit: 100_000})
		blocktest.CheckRead(t, o, b, block.Origin)
		store.seen()
	})
	t.Run("for good", func(t *testing.T) {
		store.script = func(int, *http.Request) injected { return injected{then: stall} }
		_, err := o.ReadBlock(context.Background(), b.ID())
		if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want ErrUnavailable alone", err)
		}
		checkSays(t, "read", err, "nothing moved")
		store.seen()
	})
	t.Run("a caller who leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		store.script = func(int, *http.Request) injected { cancel(); return injected{then: stall} }
		_, err := o.ReadBlock(ctx, b.ID())
		if !errors.Is(err, context.Canceled) || isKind(err) {
			t.Errorf("error %v, want context.Canceled alone", err)
		}
	})
}

// Where other reads are done the store lives, and a read that stands still on a full link
// is worth more attempts than one of a store that is dead.
func TestAStalledReadOfAStoreThatLives(t *testing.T) {
	b, other := blocktest.Block(1, 300_000), blocktest.Block(2, 50_000)
	defer b.Release()
	defer other.Release()
	o, store := flakyOrigin(t, Options{Timeouts: Timeouts{Stall: 300 * time.Millisecond}}, b)
	mustPut(t, o, other)
	var asked atomic.Int32
	store.script = func(_ int, r *http.Request) injected {
		if strings.Contains(r.URL.Path, other.ID().Hex()) || asked.Add(1) == thrice {
			return injected{}
		}
		return injected{then: stall}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for ctx.Err() == nil {
			if got, err := o.ReadBlock(ctx, other.ID()); err == nil {
				got.Release()
			}
		}
	})
	blocktest.CheckRead(t, o, b, block.Origin)
	cancel()
	others.Wait()
	if n := asked.Load(); n != thrice {
		t.Errorf("asked %d times, want %d", n, thrice)
	}
}

// A store that begins answers and does not end them is dead: each read of many is tried
// twice, whatever moves beside it.
func TestAStoreThatStandsStillForAll(t *testing.T) {
	const reads, stillFor = 6, 300 * time.Millisecond
	b := blocktest.Block(0, 100_000)
	defer b.Release()
	o, store := flakyOrigin(t, Options{Timeouts: Timeouts{Stall: stillFor}}, b)
	blocks := []block.Block{b}
	for i := 1; i < reads; i++ {
		other := blocktest.Block(uint64(i), 100_000)
		defer other.Release()
		mustPut(t, o, other)
		blocks = append(blocks, other)
	}
	<-time.After(2 * stillFor) // what it did before is long ago
	store.seen()
	store.script = func(int, *http.Request) injected { return injected{then: stall, limit: 10_000} }
	var all sync.WaitGroup
	for _, one := range blocks {
		all.Go(func() { blocktest.CheckError(t, o, one.ID(), block.ErrUnavailable) })
		<-time.After(stillFor / 3)
	}
	all.Wait()
	asked := map[string]int{}
	for _, r := range store.seen() {
		asked[r.URL.Path]++
	}
	for path, n := range asked {
		if n != twice {
			t.Errorf("%s was asked for %d times, want %d", path, n, twice)
		}
	}
	if len(asked) != reads {
		t.Errorf("%d of %d were asked for", len(asked), reads)
	}
}

func TestTotalTimeout(t *testing.T) {
	b := blocktest.Block(1, 300_000)
	defer b.Release()
	o, store := flakyOrigin(t, Options{Timeouts: Timeouts{Stall: time.Minute, Total: 200 * time.Millisecond}}, b)
	store.script = func(int, *http.Request) injected { return injected{then: stall, limit: 1000} }
	_, err := o.ReadBlock(context.Background(), b.ID())
	if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want ErrUnavailable alone", err)
	}
	checkSays(t, "read", err, "not done within 200ms")
}

// What is published is the caller's again when the call returns, even while the
// transport has not noticed the end of the request. The race detector watches.
func TestPutLetsGoOfItsBytes(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	for name, answer := range map[string]func(w http.ResponseWriter, cancel func(), returned <-chan struct{}){
		"an early answer": func(w http.ResponseWriter, _ func(), _ <-chan struct{}) {
			w.WriteHeader(http.StatusPreconditionFailed)
			fmt.Fprint(w, s3Error("PreconditionFailed", "it is there"))
		},
		"a caller who leaves": func(_ http.ResponseWriter, cancel func(), returned <-chan struct{}) {
			cancel()
			<-returned // a server does not notice a closed connection before it has read the body
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			returned := make(chan struct{})
			store := newFlakyHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, cancel, returned) }))
			o := open(t, Options{}, "s3://images?endpoint="+store.url)
			p := make([]byte, 8<<20)
			_ = o.PutManifest(ctx, block.Sum(p), p) // its outcome does not matter
			close(returned)
			for i := range p {
				p[i] = 1
			}
		})
	}
}

// plainStore answers every GET with its current object, with or without ranges.
type plainStore struct {
	etag, body string
	ranges     bool
}

func (p *plainStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.ranges {
		r.Header.Del("Range")
	}
	w.Header().Set("ETag", p.etag)
	http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader([]byte(p.body)))
}

func TestResumeOfOtherStores(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	body, other := string(blocktest.Bytes(1, 100_000)), string(blocktest.Bytes(2, 100_000))
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges %v", ranges), func(t *testing.T) {
			origin := &plainStore{`"1"`, body, ranges}
			store := newFlakyHandler(t, origin)
			o := open(t, Options{}, "s3://images?endpoint="+store.url)
			want := block.New([]byte(body), block.Origin)
			defer want.Release()
			store.script = script(injected{then: cut, limit: 40_000})
			blocktest.CheckRead(t, o, want, block.Origin)
			store.seen()
			// Half of one object and half of another are never a block.
			store.script = func(n int, _ *http.Request) injected {
				if n == 1 {
					return injected{then: cut, limit: 40_000}
				}
				origin.etag, origin.body = `"2"`, other
				return injected{}
			}
			_, err := o.ReadBlock(context.Background(), want.ID())
			if !errors.Is(err, block.ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
			checkSays(t, "read", err, "replaced while it was read")
		})
	}
}

func TestStoreThatHidesTheLength(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	store := newFlakyHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", time.Unix(1, 0).UTC().Format(http.TimeFormat))
		w.(http.Flusher).Flush() // chunked from here on
		fmt.Fprint(w, "bytes")
	}))
	o := open(t, Options{}, "s3://images?endpoint="+store.url)
	_, err := o.ReadBlock(context.Background(), block.ID{})
	if !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	checkSays(t, "read", err, "how long")
}
