package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

func newMetricsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "Print all metrics of the daemon as a Markdown table: name, type, labels, meaning",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return printMetrics(cmd.Context(), cmd.OutOrStdout()) },
	}
}

const metricsHead = `# Metrics of the daemon

Made by ` + "`cached metrics`" + `. They are at ` + "`/metrics`" + ` of the admin port, as text, OpenMetrics or protobuf, whichever is asked for. Every series is there from the start, at
zero. Units are seconds and bytes. No block, image or tenant is ever a label, but the tenants that ` + "`metrics.tenants`" + ` names; all others together are ` + "`other`" + `.

Reads of this node's users are counted by one tier each, the one that served them; ` + "`error`" + ` is for those that none served. ` + "`interface`" + ` is how the read came: ` + "`raw`" + ` (the Go
client, ` + "`cached read`" + `, mounts), ` + "`http`" + ` (` + "`GET /blocks/ID`" + `), ` + "`connect`" + `, ` + "`grpc`" + `, ` + "`grpc_web`" + `, and ` + "`node`" + ` for what the daemon reads by itself, ahead of programs, to prepare and to warm. What other
nodes ask is none of these: see ` + "`cached_peer_requests_total`" + `.

A read of a program (cause ` + "`demand`" + `) is a hit when nobody read the object store for it: the hit rate is 1 - (those of ` + "`l4`" + ` + ` + "`cached_block_reads_prefetched_total`" + `) / (all that a tier served). Prefetched are those that ` + "`l1`" + ` or ` + "`l2`" + ` served
only because the block had been read from the store ahead of them, just before ([ADR 0026](adr/0026-prefetched.md)). Each block that this node reads ahead of starts becomes one of used, late and wasted, and is pending until then; what came along in a pack and was not wanted is wasted, too.

Histograms have classic buckets and, for a Prometheus with native histograms, native ones of schema 3, eight for each doubling. Where a read is traced
([operate.md](operate.md#traces)), OpenMetrics has its ` + "`trace_id`" + ` as the exemplar of its bucket.

Beside these there are the series of the Go runtime and of the process (` + "`go_*`, `process_*`" + `) and of the page itself (` + "`promhttp_*`" + `). Those of the zone (` + "`ring`, `peer`,\n`gossip`, `residency`" + `) are there when the node is in one, those of L2 when it has one, those of a certificate when it is configured.

| metric | type | labels | what it is |
|---|---|---|---|
`

// openLabels have values that differ from host to host.
var openLabels = map[string]bool{"version": true, "go_version": true, "tenant": true}

// printMetrics makes a daemon that serves nobody, in a directory of its own, and shows
// what it would count.
func printMetrics(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "cached-metrics-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg := Default()
	cfg.DataDir, cfg.L1.Size, cfg.L2.Size, cfg.L2.MinFree = dir, 16<<20, 64<<20, 0
	cfg.Zone.Name, cfg.Zone.Node, cfg.Zone.Insecure = "zone", "node", true
	cfg.complete()
	if err := prepareDirs(cfg); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	n, err := wire(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	d, err := newDaemon(cfg, n, log, "", "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drain(time.Second)) }()
	o := newOperations(d)
	for _, use := range []string{"agents", "zone"} {
		o.certificates[use] = func() (from, until time.Time) { return from, until }
	}
	metrics, err := newRegistry(d, n, o)
	if err != nil {
		return err
	}
	return writeMetrics(w, metrics)
}

func writeMetrics(w io.Writer, metrics prometheus.Gatherer) error {
	families, err := metrics.Gather()
	if err != nil {
		return err
	}
	table := metricsHead
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "cached_") {
			continue
		}
		values := map[string]map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if values[l.GetName()] == nil {
					values[l.GetName()] = map[string]bool{}
				}
				values[l.GetName()][l.GetValue()] = true
			}
		}
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			label := "`" + name + "`"
			if !openLabels[name] {
				label += ": " + strings.Join(slices.Sorted(maps.Keys(values[name])), ", ")
			}
			labels = append(labels, label)
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, "; "), f.GetHelp())
	}
	_, err = io.WriteString(w, table)
	return err
}
