package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/loadtest/workload"
)

// A daemon is the real server and client around blocks of which the test says how they
// are served. Its ledger counts what it serves as from the origin.
type daemon struct {
	api.Admin // what bench does not ask

	t      *testing.T
	server *api.Server
	l      net.Listener
	target Target
	blocks []Block

	mu       sync.Mutex
	held     map[block.ID]block.Block
	wrong    block.Block                     // served in the place of every block, when set
	serve    func(ctx context.Context) error // before each read; nil: at once
	tier     block.Tier
	reads    atomic.Int64
	fromAway atomic.Int64 // bytes served as from the origin
	since    time.Time
}

// newDaemon starts a daemon with n blocks of 4 KiB.
func newDaemon(t *testing.T, n int, e api.Encoding) *daemon {
	t.Helper()
	d := &daemon{t: t, held: map[block.ID]block.Block{}, tier: block.Memory, since: time.Now()}
	for _, b := range blocktest.Blocks(t, 1, n, 4096) {
		d.held[b.ID()] = b
		d.blocks = append(d.blocks, Block{ID: b.ID(), Stored: uint32(b.Len())})
	}
	var err error
	if d.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	d.server = api.NewServer(api.NewHandler(api.Services{Blocks: block.ReaderFunc(d.read), Admin: d}, api.Options{}), api.ServerOptions{})
	done := make(chan error, 1)
	go func() { done <- d.server.Serve(d.l) }()
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %d.5\n# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 1e6\n", d.reads.Load())
	}))
	client, err := api.NewClient("http://"+d.l.Addr().String(), api.ClientOptions{Verify: api.VerifyAbove, MaxIdle: 256, Encoding: e})
	if err != nil {
		t.Fatal(err)
	}
	d.target = Target{Client: client, Metrics: metrics.URL}
	t.Cleanup(func() {
		metrics.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(client.Close(), d.server.Shutdown(ctx), <-done); err != nil {
			t.Error(err)
		}
	})
	return d
}

// now changes how it answers from now on.
func (d *daemon) now(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *daemon) read(ctx context.Context, id block.ID) (block.Block, error) {
	d.reads.Add(1)
	d.mu.Lock()
	serve := d.serve
	d.mu.Unlock()
	if serve != nil {
		if err := serve(ctx); err != nil {
			return block.Block{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b, held := d.held[id]
	if !held {
		return block.Block{}, block.ErrNotFound
	}
	if !d.wrong.IsZero() {
		b = d.wrong
	}
	if d.tier == block.Origin {
		d.fromAway.Add(int64(b.Len()))
	}
	return b.Retain().WithFrom(d.tier), nil
}

// Ledger implements [api.Admin].
func (d *daemon) Ledger(context.Context) (*cachedv1.Ledger, error) {
	n := uint64(d.fromAway.Load())
	return &cachedv1.Ledger{Since: timestamppb.New(d.since), OriginReads: &cachedv1.Count{Blocks: n / 4096, Bytes: n}}, nil
}

// Status implements [api.Admin].
func (d *daemon) Status(context.Context) (*cachedv1.GetStatusResponse, error) {
	return &cachedv1.GetStatusResponse{}, nil
}

func (d *daemon) options() Options {
	return Options{Targets: []Target{d.target}, Images: []Image{{Name: "a", Blocks: d.blocks}}, Unit: Reads, Order: InOrder, Seed: 1, Interval: 50 * time.Millisecond}
}

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func process(t *testing.T, text string) *workload.Process {
	t.Helper()
	p, err := workload.ParseProcess(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
