package api

import (
	"context"
	"log/slog"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
)

// An adminService serves AdminService.
type adminService struct {
	admin    Admin
	drills   Drills     // may be nil
	sessions func() int // how many are open
	log      *slog.Logger
}

var _ cachedv1connect.AdminServiceHandler = (*adminService)(nil)

// GetLedger implements [cachedv1connect.AdminServiceHandler].
func (s *adminService) GetLedger(ctx context.Context, _ *cachedv1.GetLedgerRequest) (*cachedv1.GetLedgerResponse, error) {
	if err := asOperator(ctx); err != nil {
		return nil, toConnect(err)
	}
	ledger, err := s.admin.Ledger(ctx)
	if err != nil {
		logFailure(s.log, kindOf(err), err)
		return nil, toConnect(err)
	}
	return &cachedv1.GetLedgerResponse{Ledger: ledger}, nil
}

// GetStatus implements [cachedv1connect.AdminServiceHandler].
func (s *adminService) GetStatus(ctx context.Context, _ *cachedv1.GetStatusRequest) (*cachedv1.GetStatusResponse, error) {
	if err := asOperator(ctx); err != nil {
		return nil, toConnect(err)
	}
	status, err := s.admin.Status(ctx)
	if err != nil {
		logFailure(s.log, kindOf(err), err)
		return nil, toConnect(err)
	}
	status.OpenSessions = uint64(s.sessions())
	return status, nil
}

// ExplainImage implements [cachedv1connect.AdminServiceHandler].
func (s *adminService) ExplainImage(ctx context.Context, req *cachedv1.ExplainImageRequest) (*cachedv1.ExplainImageResponse, error) {
	if err := asOperator(ctx); err != nil {
		return nil, toConnect(err)
	}
	places, err := s.admin.Explain(ctx, req)
	if err != nil {
		logFailure(s.log, kindOf(err), err)
		return nil, toConnect(err)
	}
	return places, nil
}
