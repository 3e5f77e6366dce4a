package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zonecache/cached/account"
	"github.com/zonecache/cached/api"
)

// A daemon is the two servers around a node.
type daemon struct {
	door     *door
	zone     *zone // nil when the node has no peers
	starts   *starts
	begun    *countedStarts
	prepare  *preparer
	holders  *holders
	looks    *residents
	warmer   *warmer
	drills   *driller
	pins     *pinner
	rpc      *api.Server
	admin    *http.Server
	overload prometheus.Counter
	page     *statusPage
	health   *health
	metrics  *prometheus.Registry
	failed   chan error // what a server ended with before it was told to
}

func newDaemon(cfg Config, n *node, log *slog.Logger, listenAddr, adminAddr string) (*daemon, error) {
	d := &daemon{zone: n.zone, health: newHealth(n.origin, log), failed: make(chan error, 4)}
	d.health.joining = n.zone != nil
	door, err := newDoor(cfg, n.reader, n.catalog, log)
	if err != nil {
		return nil, err
	}
	books := &adminService{node: n, health: d.health, door: door, started: time.Now(), listen: listenAddr, admin: adminAddr}
	starts := newStarts(n, log)
	d.begun = newCountedStarts(starts, n)
	books.starts = starts
	d.looks, d.holders = n.residents, newHolders(n, n.residents, log)
	books.holders = d.holders
	d.prepare = newPreparer(n, prepareDir(filepath.Join(cfg.DataDir, "preparations"), log), log)
	d.warmer, d.pins = newWarmer(n, cfg.Zone.Node, log), newPinner(n, cfg, log)
	d.prepare.ready, books.pins = d.pins.look, d.pins
	d.drills = newDriller(n, cfg.Zone.Node, log)
	if n.zone != nil {
		n.zone.warmer, n.zone.driller = d.warmer, d.drills
	}
	d.overload = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "cached_overload_refusals_total", Help: "Block reads that were refused because as many as limits.in-flight allows were in progress.",
	})
	handler := api.NewHandler(
		api.Services{
			Blocks: door.blocks(n.reader), Images: door.images(&imageService{n.catalog}), Admin: books, Starts: d.begun,
			Preparations: d.prepare, Warmer: d.warmer, Pins: d.pins, Purger: &purger{node: n, pins: d.pins},
			Residency: door.residency(d.holders), Drills: d.drills,
		},
		api.Options{MaxInFlight: cfg.Limits.InFlight, Overloaded: d.overload.Inc, Ready: d.health.notReady, Authenticate: door.authenticator(), Tracer: n.spans(), Logger: log},
	)
	d.door, d.starts = door, starts
	d.rpc = api.NewServer(handler, api.ServerOptions{TLS: door.tls(), Guard: byItsOwnName, Logger: log})

	if d.metrics, err = newRegistry(d, n, newOperations(d)); err != nil {
		return nil, err
	}
	pages := &adminPages{metrics: d.metrics, notReady: d.health.now, log: log, authenticate: door.authenticator(), everywhere: cfg.InsecureAdminPages}
	d.page = newStatusPage(books, d.prepare, log)
	pages.status = d.page.handler
	d.admin = &http.Server{Handler: pages.handler(), ReadHeaderTimeout: 10 * time.Second}
	return d, nil
}

// newRegistry has all series of a daemon.
func newRegistry(d *daemon, n *node, o *operations) (*prometheus.Registry, error) {
	gauges := account.Gauges{Tiers: n.sizes(), Ahead: d.starts.totals, Pins: d.pins.totals}
	if n.zone != nil {
		gauges.Zone = zoneMetrics{n.zone}
	}
	metrics := prometheus.NewRegistry()
	return metrics, errors.Join(
		metrics.Register(n.ledger.Collector(gauges)),
		metrics.Register(d.door.verdicts.all),
		metrics.Register(o),
		metrics.Register(d.overload),
		metrics.Register(d.begun.total),
		metrics.Register(collectors.NewGoCollector()),
		metrics.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
}

// serve answers agents until drain, and goes on with what the last daemon prepared.
func (d *daemon) serve(listeners ...net.Listener) {
	d.prepare.resume()
	d.looks.start()
	d.pins.start()
	for _, l := range listeners {
		go func() { d.failed <- d.rpc.Serve(l) }()
	}
}

// serveAdmin answers operators until drain.
func (d *daemon) serveAdmin(l net.Listener) {
	d.page.start()
	go func() { d.failed <- d.admin.Serve(l) }()
}

// leaveShare is the part of the drain timeout that the zone has to hear that this
// node leaves.
const leaveShare = 4

// drain turns readiness off, leaves the others' rings, lets reads in progress
// end, and closes the servers: that of the peers last, since a read in progress
// elsewhere may come from here.
func (d *daemon) drain(timeout time.Duration) error {
	d.health.drain()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if d.zone != nil {
		d.zone.leave(timeout / leaveShare)
	}
	d.prepare.end() // who watches is told
	d.warmer.end()
	d.drills.end()
	err := d.rpc.Shutdown(ctx)
	d.starts.close()
	d.prepare.close()
	d.holders.close()
	d.pins.close()
	d.page.close()
	if d.zone != nil {
		err = errors.Join(err, d.zone.stop(ctx))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("reads were still in progress %s after SIGTERM and were cut off", timeout)
	}
	return errors.Join(err, d.admin.Close(), d.door.close())
}
