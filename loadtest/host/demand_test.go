package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/loadtest/images"
)

// TestProvePrefetchDemand has a second program read blocks that the host lacks while
// an image starts there, and compares how long its reads take when that start is read
// ahead of with how long they take when it is not.
func TestProvePrefetchDemand(t *testing.T) {
	full(t)
	names := []string{"flask", "pyml"}
	if len(os.Getenv("HOST_IMAGES")) > 0 {
		names = imageNames()
	}
	measureDemand(t, newLab(t, learning, names...))
}

// What the second program reads: a fifth of what the origin's link carries.
const (
	demandBlock = 128 << 10
	demandEvery = 25 * time.Millisecond
)

func measureDemand(t *testing.T, l *lab) {
	l.front.set(far)
	defer l.front.set(0)
	ids := l.zone.Store.PutBlocks(t, pick(4096, 256), demandBlock)
	for _, img := range l.images {
		t.Run(img.Name, func(t *testing.T) { l.demandBeside(t, img, ids) })
	}
}

func (l *lab) demandBeside(t *testing.T, img images.Built, ids []block.ID) {
	w := ways{}
	l.coldStart(t, w, "learning", img, "serve")
	l.awaitTraces(t, img.Ref(), "serve", 1)
	took := map[string][]float64{}
	for i := range pick(5, 1) {
		for how, workload := range map[string]string{"off": fmt.Sprintf("beside-%d", i), "on": "serve"} {
			l.cold(t)
			p := newProgram(l, ids)
			s, m := l.lazy(t, l.first, img, workload)
			took[how] = append(took[how], p.end(t)...)
			w.add(t, how, s)
			l.umount(t, m)
		}
	}
	name := "prefetch.demand." + img.Name
	for how, all := range took {
		figure.Report(t, name+"."+how+"_reads", float64(len(all)), "reads")
		figure.Report(t, name+"."+how+"_p50_ms", 1e3*quantile(all, 0.5), "ms")
		figure.Report(t, name+"."+how+"_p99_ms", 1e3*quantile(all, 0.99), "ms")
		figure.Report(t, name+"."+how+"_start_s", w.median(how, seconds), "s")
	}
	figure.Report(t, name+".p50_by_off", quantile(took["on"], 0.5)/quantile(took["off"], 0.5), "x")
	figure.Report(t, name+".p99_by_off", quantile(took["on"], 0.99)/quantile(took["off"], 0.99), "x")
}

// A program reads one block after the other at fixed times, whether those before have
// come or not.
type program struct {
	client http.Client
	stop   chan struct{}
	reads  sync.WaitGroup

	mu   sync.Mutex
	took []float64 // seconds since the time the read was due
	err  error
}

func newProgram(l *lab, ids []block.ID) *program {
	p := &program{stop: make(chan struct{})}
	host := l.first.Host
	p.client.Transport = &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return host.Dial(ctx, network, address)
		},
	}
	p.reads.Go(func() {
		due := time.NewTicker(demandEvery)
		defer due.Stop()
		for _, id := range ids {
			select {
			case <-p.stop:
				return
			case at := <-due.C:
				p.reads.Go(func() { p.read(id, at) })
			}
		}
	})
	return p
}

func (p *program) read(id block.ID, due time.Time) {
	resp, err := p.client.Get("http://127.0.0.1:7070/blocks/" + id.String())
	if err == nil {
		var n int64
		if n, err = io.Copy(io.Discard, resp.Body); err == nil && (resp.StatusCode != http.StatusOK || n != demandBlock) {
			err = fmt.Errorf("block %s: %s, %d bytes", id, resp.Status, n)
		}
		resp.Body.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, time.Since(due).Seconds())
	if err != nil {
		p.err = err
	}
}

// end stops the program and returns how long its reads took.
func (p *program) end(t *testing.T) []float64 {
	t.Helper()
	close(p.stop)
	p.reads.Wait()
	p.client.CloseIdleConnections()
	if p.err != nil {
		t.Error(p.err)
	}
	return p.took
}
