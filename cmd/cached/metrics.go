package main

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/api/cachedv1"
)

// operations are the series of the daemon itself, beside those of the ledger.
type operations struct {
	ready        func() []string // why it is not
	preparations func() []*cachedv1.Preparation
	certificates map[string]func() (from, until time.Time) // by use

	build, isReady, prepared, start, expiry *prometheus.Desc
}

// preparationStates are the states of preparations, as the metric names them.
var preparationStates = map[cachedv1.PreparationState]string{
	cachedv1.PreparationState_PREPARATION_STATE_PREPARING: "preparing",
	cachedv1.PreparationState_PREPARATION_STATE_READY:     "ready",
	cachedv1.PreparationState_PREPARATION_STATE_FAILED:    "failed",
}

func newOperations(d *daemon) *operations {
	o := &operations{
		ready: d.health.notReady, preparations: d.prepare.List, certificates: map[string]func() (from, until time.Time){},
		build:    prometheus.NewDesc("cached_build_info", "1, with what this program is.", []string{"version", "go_version"}, nil),
		isReady:  prometheus.NewDesc("cached_ready", "1 while the daemon can serve what it does not hold; 0 while it starts, drains, or no origin answers.", nil, nil),
		prepared: prometheus.NewDesc("cached_preparations", "Images that were prepared or are, by state.", []string{"state"}, nil),
		start:    prometheus.NewDesc("cached_certificate_start_timestamp_seconds", "When a certificate of this node begins, in Unix time.", []string{"use"}, nil),
		expiry:   prometheus.NewDesc("cached_certificate_expiry_timestamp_seconds", "When a certificate of this node ends, in Unix time.", []string{"use"}, nil),
	}
	if d.zone != nil && d.zone.identity != nil {
		o.certificates["zone"] = d.zone.identity.Dates
	}
	if d.door.source != nil {
		o.certificates["agents"] = d.door.source.Dates
	}
	return o
}

// Describe implements [prometheus.Collector].
func (o *operations) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{o.build, o.isReady, o.prepared, o.start, o.expiry} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (o *operations) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(o.build, 1, versionText(), runtime.Version())
	ready := 0.0
	if len(o.ready()) == 0 {
		ready = 1
	}
	gauge(o.isReady, ready)
	count := map[cachedv1.PreparationState]int{}
	for _, p := range o.preparations() {
		count[p.GetState()]++
	}
	for state, name := range preparationStates {
		gauge(o.prepared, float64(count[state]), name)
	}
	for use, dates := range o.certificates {
		from, until := dates()
		gauge(o.start, float64(from.Unix()), use)
		gauge(o.expiry, float64(until.Unix()), use)
	}
}
