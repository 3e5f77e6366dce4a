package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/cmd/cached/statuspage"
	"github.com/zonecache/cached/placement/gossip"
)

// A statusPage is the page on the admin port with the history it plots.
type statusPage struct {
	books    *adminService
	preparer *preparer
	history  statuspage.History
	handler  http.Handler
	watching sync.WaitGroup
	stop     context.CancelFunc
}

func newStatusPage(books *adminService, p *preparer, log *slog.Logger) *statusPage {
	s := &statusPage{books: books, preparer: p, stop: func() {}}
	s.handler = statuspage.New(statuspage.Options{View: s.view, History: &s.history, Log: log})
	return s
}

// start begins the history, until close.
func (s *statusPage) start() {
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.watching.Go(func() {
		s.history.Watch(ctx, func() statuspage.Counts { return demandCounts(s.books.node.ledger.Snapshot()) })
	})
}

func (s *statusPage) close() {
	s.stop()
	s.watching.Wait()
}

// view is what the page shows now.
func (s *statusPage) view(ctx context.Context) (statuspage.View, error) {
	status, err := s.books.Status(ctx)
	if err != nil {
		return statuspage.View{}, err
	}
	ledger, err := s.books.Ledger(ctx)
	if err != nil {
		return statuspage.View{}, err
	}
	r, snapshot := newStatsReport(ledger), s.books.node.ledger.Snapshot()
	v := statuspage.View{
		Node: status.GetListenAddress(), Listen: status.GetListenAddress(), Version: status.GetVersion(), Now: time.Now(), Uptime: status.GetUptime().AsDuration(),
		NotReady: status.GetNotReady(), Warnings: status.GetWarnings(), Imbalance: r.Imbalance,
		InFlight: r.InFlight, Sessions: status.GetOpenSessions(), Errors: r.Errors,
		HitRate: r.HitRate, ByteHitRate: r.ByteHitRate, Prefetched: r.Prefetched, OriginReads: r.OriginReads, OriginBytes: r.OriginBytes, Distinct: r.Distinct,
		Demand: demandCounts(snapshot),
		Ahead:  viewAhead(r.Prefetch),
	}
	for _, row := range r.Rows {
		v.Served = append(v.Served, statuspage.Served{Tier: row.Tier, Cause: row.Cause, Count: statuspage.Count{Blocks: row.Blocks, Bytes: row.Bytes}, Share: row.ByteShare})
	}
	for i, t := range block.Tiers {
		v.Tiers = append(v.Tiers, viewTier(t, snapshot.Tiers[i], s.books.node.sizes()))
	}
	if p := r.Pinned; p.Images > 0 {
		v.Pinned = &statuspage.Pinned{Images: p.Images, Bytes: p.Bytes, Limit: p.Limit}
	}
	for _, o := range status.GetOrigins() {
		v.Origins = append(v.Origins, statuspage.Origin{URL: o.GetUrl(), Problem: o.GetProblem()})
	}
	if z := status.GetZone(); z != nil {
		v.Node, v.Zone = z.GetNode(), viewZone(z)
	}
	for _, img := range r.Images {
		v.Images = append(v.Images, viewImage(img))
	}
	for _, p := range s.preparer.List() {
		v.Preparations = append(v.Preparations, viewPreparation(p))
	}
	return v, nil
}

// demandCounts are the reads of programs, by tier.
func demandCounts(s account.Snapshot) (counts statuspage.Counts) {
	for i, t := range block.Tiers {
		c := s.Requests.Served.Demand.Tier(t)
		counts[i] = statuspage.Count{Blocks: uint64(c.Blocks), Bytes: uint64(c.Bytes)}
	}
	return counts
}

func viewTier(t block.Tier, m account.Medium, sizes map[block.Tier]account.Size) statuspage.Tier {
	v := statuspage.Tier{
		Name: t.String(), LookUps: uint64(m.Started - m.InFlight), Hits: uint64(m.Hits.Blocks),
		Median: m.Latency.Quantile(0.5), P99: m.Latency.Quantile(0.99),
	}
	if size, ok := sizes[t]; ok {
		v.Used, v.Capacity = uint64(size.Used()), uint64(size.Capacity())
		if e, ok := size.(account.Evicter); ok {
			v.Evictions = uint64(e.Evictions())
		}
	}
	return v
}

func viewAhead(r aheadRow) statuspage.Ahead {
	v := statuspage.Ahead{
		Used: statuspage.Count(r.Used), Late: statuspage.Count(r.Late), Wasted: statuspage.Count(r.Wasted), Pending: statuspage.Count(r.Pending),
	}
	for _, w := range r.Workloads {
		v.Workloads = append(v.Workloads, statuspage.Workload{
			Image: w.Image, Name: w.Workload, Starts: w.Starts, Precision: w.Precision, Recall: w.Recall, Off: w.Off,
		})
	}
	return v
}

func viewZone(z *cachedv1.ZoneStatus) *statuspage.Zone {
	v := &statuspage.Zone{Name: z.GetName(), Node: z.GetNode(), Epoch: epochText(z.GetEpoch()), Distribution: z.GetDistribution(), Nodes: inRing(z)}
	count := func(c *cachedv1.Count) statuspage.Count {
		return statuspage.Count{Blocks: c.GetBlocks(), Bytes: c.GetBytes()}
	}
	for _, p := range z.GetPeers() {
		problem := p.GetProblem()
		if problem == "" && p.GetHealth() == gossip.Suspect.String() {
			problem = "its reads fail"
		}
		v.Peers = append(v.Peers, statuspage.Peer{
			Name: p.GetName(), Address: p.GetAddress(), Version: p.GetVersion(), Health: p.GetHealth(), Problem: problem, Share: p.GetShare(),
			Received: count(p.GetReceived()), Sent: count(p.GetSent()), Failures: p.GetFailures(), Wrong: p.GetWrong(),
		})
	}
	for _, t := range z.GetTrees() {
		v.Trees = append(v.Trees, statuspage.Tree{Image: t.GetImage(), Place: treePlace(t)})
	}
	return v
}

func viewImage(img imageRow) statuspage.Image {
	v := statuspage.Image{Name: img.Image, Count: statuspage.Count{Blocks: img.Blocks, Bytes: img.Bytes}, HitRate: img.HitRate, Prefetched: share(img.Ahead, img.Blocks), Errors: img.Errors}
	for i, t := range block.Tiers {
		v.ByTier[i] = img.ByTier[t.String()]
	}
	return v
}

func viewPreparation(p *cachedv1.Preparation) statuspage.Preparation {
	return statuspage.Preparation{
		Image: p.GetImage(), Scope: scopeText(p.GetScope()), Problem: p.GetProblem(), State: statuspage.State(stateText(p)),
		Done:  statuspage.Count{Blocks: p.GetBlocksDone(), Bytes: p.GetBytesDone()},
		Total: statuspage.Count{Blocks: p.GetBlocks(), Bytes: p.GetBytes()},
		Began: p.GetBegan().AsTime(), Took: sinceText(p),
	}
}
