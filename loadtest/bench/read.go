package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// do does one arrival. What has begun is finished, also where the run ends: it must
// not count as a failure.
func (r *run) do(ctx context.Context, j job) {
	ctx = context.WithoutCancel(ctx)
	image := &r.Images[j.image]
	ctx = block.WithCall(ctx, block.Call{Image: image.Name, Workload: image.Workload})
	running := int(r.inFlight.Add(1))
	defer r.inFlight.Add(-1)
	if r.Unit == Reads {
		r.read(ctx, j.target, image.Blocks[j.block], j.intended)
		return
	}
	failed := r.start(ctx, j, image)
	r.rec.started(Start{
		At: j.intended.Sub(r.rec.zero()).Seconds(), Took: milliseconds(time.Since(j.intended)), Together: max(running, j.together), Image: image.Name, Failed: failed,
	})
}

// read reads one block, whose latency counts from intended, and reports whether it came.
func (r *run) read(ctx context.Context, target int, b Block, intended time.Time) bool {
	got, err := r.Targets[target].Client.ReadBlock(ctx, b.ID)
	took := time.Since(intended)
	if err != nil {
		r.rec.failed(api.ErrorCode(err), err)
		return false
	}
	defer got.Release()
	r.rec.read(got.From, took, got.Len())
	if r.VerifyEvery == 0 || r.readNo.Add(1)%int64(r.VerifyEvery) != 0 {
		return true
	}
	if block.Sum(got.Bytes()) != b.ID {
		r.rec.wrong(b.ID)
		return false
	}
	r.rec.verified()
	return true
}

// start does all reads of an image, and reports whether any failed.
func (r *run) start(ctx context.Context, j job, image *Image) (failed bool) {
	client := r.Targets[j.target].Client
	if r.Session {
		req := &cachedv1.OpenImageRequest{Image: image.Name, Workload: image.Workload}
		if image.Workload == "" {
			req.ReadAhead = cachedv1.ReadAhead_READ_AHEAD_IMAGE
		}
		opened, err := client.OpenImage(ctx, req)
		if err != nil {
			r.rec.failed(api.ErrorCode(err), err)
			return true
		}
		defer func() {
			if err := client.CloseSession(ctx, opened.GetSessionId()); err != nil {
				r.rec.failed(api.ErrorCode(err), err)
			}
		}()
	}
	var next atomic.Int64
	var lost atomic.Bool
	var wg sync.WaitGroup
	for range min(r.Parallel, len(image.Blocks)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(image.Blocks)); i = next.Add(1) - 1 {
				if !r.read(ctx, j.target, image.Blocks[i], time.Now()) {
					lost.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return lost.Load()
}
