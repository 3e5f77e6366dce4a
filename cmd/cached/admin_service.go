package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// adminService answers api.Admin from the node's books.
type adminService struct {
	node    *node
	health  *health
	door    *door
	starts  *starts
	pins    *pinner
	holders *holders
	started time.Time
	listen  string
	admin   string
}

var _ api.Admin = (*adminService)(nil)

// Ledger implements [api.Admin].
func (a *adminService) Ledger(context.Context) (*cachedv1.Ledger, error) {
	s := a.node.ledger.Snapshot()
	total := s.Requests.Total()
	l := &cachedv1.Ledger{
		Since:          timestamppb.New(s.Since),
		Requests:       &cachedv1.Count{Blocks: uint64(total.Requests()), Bytes: uint64(total.Total().Bytes)},
		InFlight:       uint64(s.Requests.InFlight),
		OriginReads:    countProto(s.Origin.Reads),
		DistinctBlocks: uint64(s.Origin.DistinctBlocks),
		Tiers:          a.tiers(),
		Prefetch:       a.starts.proto(),
		Pinned:         a.pins.proto(),
	}
	if err := a.node.ledger.Check(); err != nil {
		l.Imbalance = err.Error()
	}
	l.Served, l.Errors = servedProto(s.Requests.Served)
	l.Prefetched = countProto(s.Requests.Prefetched)
	for _, img := range s.Images {
		l.Images = append(l.Images, imageProto(img))
	}
	if s.Other.Total().Requests() > 0 {
		other := s.Other
		other.Name = "(others)"
		l.Images = append(l.Images, imageProto(other))
	}
	return l, nil
}

// Status implements [api.Admin].
func (a *adminService) Status(ctx context.Context) (*cachedv1.GetStatusResponse, error) {
	s := &cachedv1.GetStatusResponse{
		Version:       versionText(),
		Uptime:        durationpb.New(time.Since(a.started)),
		ListenAddress: a.listen,
		AdminAddress:  a.admin,
		Tiers:         a.tiers(),
		NotReady:      a.health.now(ctx),
		Warnings:      a.warnings(),
	}
	if a.node.zone != nil {
		s.Zone = a.node.zone.status()
	}
	problems := a.health.originProblems()
	for i, o := range a.node.origin.Origins() {
		s.Origins = append(s.Origins, &cachedv1.OriginStatus{Url: o.String(), Healthy: problems[i] == "", Problem: problems[i]})
	}
	return s, nil
}

// warnings returns what is wrong with the node though it serves every block.
func (a *adminService) warnings() []string {
	warnings := append(a.door.warnings(), a.diskWarnings()...)
	if a.node.memory.Down() {
		warnings = append(warnings, "a drill is on: caches seem empty (cached drill)")
	}
	if a.node.zone != nil {
		warnings = append(warnings, a.node.zone.warnings()...)
	}
	return warnings
}

func (a *adminService) diskWarnings() []string {
	if a.node.l2Problem != "" {
		return []string{fmt.Sprintf("%s: off since the start, its disk could not be used: %s", block.Disk, a.node.l2Problem)}
	}
	if a.node.l2 == nil {
		return nil
	}
	if err := a.node.l2.Sick(); err != nil {
		return []string{fmt.Sprintf("%s: %v", block.Disk, err)}
	}
	return nil
}

func (a *adminService) tiers() []*cachedv1.TierUsage {
	var rows []*cachedv1.TierUsage
	sizes := a.node.sizes()
	for _, t := range block.Tiers {
		if size, ok := sizes[t]; ok {
			rows = append(rows, &cachedv1.TierUsage{Tier: api.TierToProto(t), UsedBytes: uint64(size.Used()), CapacityBytes: uint64(size.Capacity())})
		}
	}
	return rows
}

func imageProto(img account.Image) *cachedv1.ImageLedger {
	row := &cachedv1.ImageLedger{Image: img.Name, Errors: uint64(img.Total().Errors), Prefetched: countProto(img.Prefetched)}
	row.Served, _ = servedProto(img.Served)
	return row
}

func servedProto(by account.ByCause[account.Served]) ([]*cachedv1.ServedCount, []*cachedv1.CauseCount) {
	var served []*cachedv1.ServedCount
	var errors []*cachedv1.CauseCount
	for _, cause := range block.Causes {
		of := by.Of(cause)
		for _, t := range block.Tiers {
			served = append(served, &cachedv1.ServedCount{Tier: api.TierToProto(t), Cause: api.CauseToProto(cause), Count: countProto(*of.Tier(t))})
		}
		errors = append(errors, &cachedv1.CauseCount{Cause: api.CauseToProto(cause), Count: uint64(of.Errors)})
	}
	return served, errors
}

func countProto(c account.Count) *cachedv1.Count {
	return &cachedv1.Count{Blocks: uint64(c.Blocks), Bytes: uint64(c.Bytes)}
}
