package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zonecache/cached/api/cachedv1"
)

// A look is what a daemon has done so far.
type look struct {
	cpu     float64
	memory  float64
	noCPU   string // why it is not known; "": it is
	ledger  *cachedv1.Ledger
	noBooks string
}

// lookTimeout bounds the questions to a daemon about itself.
const lookTimeout = 10 * time.Second

// look asks all daemons what they have done so far.
func (r *run) look(ctx context.Context) []look {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	looks := make([]look, len(r.Targets))
	var wg sync.WaitGroup
	for i, t := range r.Targets {
		wg.Go(func() {
			l := &looks[i]
			var err error
			if l.ledger, err = t.Client.Ledger(ctx); err != nil {
				l.noBooks = err.Error()
			}
			if t.Metrics == "" {
				l.noCPU = "its metrics were not asked for"
			} else if l.cpu, l.memory, err = scrape(ctx, t.Metrics); err != nil {
				l.noCPU = err.Error()
			}
		})
	}
	wg.Wait()
	return looks
}

// count adds what happened between two looks.
func (r *run) count(before, after []look) {
	for i := range r.servers {
		s, b, a := &r.servers[i], before[i], after[i]
		s.URL = r.Targets[i].Client.URL()
		switch {
		case b.noCPU != "" || a.noCPU != "":
			s.NoCPU = cmp.Or(b.noCPU, a.noCPU)
		case a.cpu < b.cpu:
			s.NoCPU = "it was started anew meanwhile"
		default:
			s.CPU += a.cpu - b.cpu
			s.Memory = a.memory
		}
		switch reads, was := a.ledger.GetOriginReads(), b.ledger.GetOriginReads(); {
		case b.noBooks != "" || a.noBooks != "":
			s.NoOrigin = cmp.Or(b.noBooks, a.noBooks)
		case !a.ledger.GetSince().AsTime().Equal(b.ledger.GetSince().AsTime()):
			s.NoOrigin = "it was started anew meanwhile"
		default:
			s.OriginReads += reads.GetBlocks() - was.GetBlocks()
			s.OriginBytes += reads.GetBytes() - was.GetBytes()
			s.OriginDistinct += a.ledger.GetDistinctBlocks() - b.ledger.GetDistinctBlocks()
		}
	}
}

// sampleTimeout bounds the question between two intervals.
const sampleTimeout = 2 * time.Second

// originReads returns what all daemons together have read of the origin so far.
func (r *run) originReads(ctx context.Context) origin {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	sums := make([]origin, len(r.Targets))
	var wg sync.WaitGroup
	for i, t := range r.Targets {
		wg.Go(func() {
			if l, err := t.Client.Ledger(ctx); err == nil {
				sums[i] = origin{l.GetOriginReads().GetBlocks(), l.GetOriginReads().GetBytes(), true}
			}
		})
	}
	wg.Wait()
	total := origin{ok: true}
	for _, s := range sums {
		total.blocks += s.blocks
		total.bytes += s.bytes
		total.ok = total.ok && s.ok
	}
	return total
}

// maxMetrics bounds what a daemon's metrics may take.
const maxMetrics = 16 << 20

// scrape returns the processor seconds and the resident bytes of a daemon's process.
func scrape(ctx context.Context, url string) (cpu, memory float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("metrics: %w", err)
	}
	t := &http.Transport{DisableKeepAlives: true}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, 0, fmt.Errorf("metrics: %s: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("metrics: %s answered %s", url, resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(resp.Body, maxMetrics))
	if err != nil {
		return 0, 0, fmt.Errorf("metrics: %s: %w", url, err)
	}
	if cpu, err = single(families["process_cpu_seconds_total"]); err != nil {
		return 0, 0, fmt.Errorf("metrics: %s: process_cpu_seconds_total: %w", url, err)
	}
	memory, err = single(families["process_resident_memory_bytes"])
	return cpu, memory, err
}

func single(f *dto.MetricFamily) (float64, error) {
	if len(f.GetMetric()) != 1 {
		return 0, fmt.Errorf("%d series, want one", len(f.GetMetric()))
	}
	m := f.GetMetric()[0]
	if m.Counter != nil {
		return m.GetCounter().GetValue(), nil
	}
	return m.GetGauge().GetValue(), nil
}

// processorTime returns what this process has computed so far, in seconds.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
