package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run this host's daemon: serve blocks from memory, disk and the origin",
		Long: `Run this host's daemon. It serves blocks over Connect, gRPC, gRPC-Web and plain
HTTP on --listen, and /metrics, /healthz, /readyz, and for programs of this host
/debug/pprof and a status page, on --admin. Both are loopback unless told otherwise.

SIGTERM drains: readiness turns false, reads in progress end, L2 is written out.
The disk cache survives a restart, and a kill -9 loses at most the last second.

The daemon starts and serves what it holds while the origin cannot be reached;
/readyz and 'cached status' say so.`,
		Example: `  cached serve
  cached serve --l1-size 8GiB --l2-size 400GiB --data-dir /mnt/nvme/cached \
    --origin 's3://images?endpoint=https://minio.example:9000&region=eu-1'`,
		Args: cobra.NoArgs,
	}
	load := addConfigFlags(cmd, bindFlags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, cfg.Log.newLogger(os.Stderr))
	}
	return cmd
}

// serve runs the daemon until ctx ends, then drains it.
func serve(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	if err := cfg.checkHost(); err != nil {
		return err
	}
	for _, w := range cfg.warnings() {
		log.Warn(w)
	}
	if err := setMemoryLimits(int64(cfg.L1.Size), int64(cfg.L2.Size)); err != nil {
		return err
	}
	if err := prepareDirs(cfg); err != nil {
		return err
	}
	if w := cfg.L2.short(); w != "" {
		log.Warn(w)
	}
	agents, err := listenAgents(cfg)
	if err != nil {
		return err
	}
	adminListener, err := listen("admin", cfg.Admin)
	if err != nil {
		return errors.Join(err, closeAll(agents))
	}
	listeners := append(slices.Clone(agents), adminListener)
	var peers net.Listener
	if cfg.Zone.Name != "" {
		if peers, err = listen("peer-listen", cfg.Zone.PeerListen); err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, peers)
	}
	node, err := wire(ctx, cfg, log)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	defer func() { err = errors.Join(err, node.close()) }()

	d, err := newDaemon(cfg, node, log, listenText(agents), adminListener.Addr().String())
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	watched := make(chan struct{})
	watchCtx, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	go func() { defer close(watched); d.health.watch(watchCtx) }()
	defer func() { stopWatching(); <-watched }()

	d.serveAdmin(adminListener)
	if node.zone != nil {
		// Agents wait in the listener's backlog meanwhile: a node that has not met the
		// others takes itself for the owner of every block, and reads the origin.
		if err := node.zone.serve(ctx, peers, d.failed, log); err != nil {
			if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
				log.Info("told to stop before the zone was joined")
				err = nil
			}
			return errors.Join(err, closeAll(agents), d.drain(cfg.Shutdown.DrainTimeout))
		}
		d.health.join()
		log.Info("in the zone", "zone", cfg.Zone.Name, "node", cfg.Zone.Node, "peers", peers.Addr().String(), "gossip", cfg.Zone.Gossip, "distribution", cfg.Zone.Distribution)
	}
	d.serve(agents...)
	log.Info("serving", "blocks", listenText(agents), "tls", cfg.TLS.Dir != "", "admin", "http://"+adminListener.Addr().String(),
		"l1", cfg.L1.Size.String(), "l2", cfg.L2.Size.String(), "l2_dir", cfg.L2.Dir, "origin", node.origin.String())

	select {
	case err = <-d.failed:
		log.Error("a server failed", "error", err)
	case <-ctx.Done():
		log.Info("draining", "timeout", cfg.Shutdown.DrainTimeout)
	}
	return errors.Join(err, d.drain(cfg.Shutdown.DrainTimeout))
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// listenAgents opens all that agents reach this daemon by.
func listenAgents(cfg Config) ([]net.Listener, error) {
	var all []net.Listener
	if cfg.Listen != "" {
		l, err := listen("listen", cfg.Listen)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	if cfg.Socket.Path != "" {
		l, err := cfg.Socket.listen()
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, l)
	}
	return all, nil
}

// listenText says where agents are listened to.
func listenText(all []net.Listener) string {
	var texts []string
	for _, l := range all {
		text := l.Addr().String()
		if l.Addr().Network() == "unix" {
			text = "unix://" + text
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " and ")
}

// listen opens a TCP address and explains the usual mistakes.
func listen(key, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use, perhaps by another cached; choose another with --%s", key, addr, key)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

// prepareDirs creates the directories of the daemon. Their parents must exist
// unless they are the defaults: a missing parent of a configured path usually
// means that a disk is not mounted, and filling the root disk is worse than not
// starting.
func prepareDirs(cfg Config) error {
	if cfg.DataDir == Default().DataDir {
		if err := os.MkdirAll(filepath.Dir(cfg.DataDir), 0o755); err != nil {
			return fmt.Errorf("data-dir: %w", err)
		}
	}
	if err := makeDir("data-dir", cfg.DataDir); err != nil {
		return err
	}
	if cfg.L2.Size > 0 {
		if err := makeDir("l2.dir", cfg.L2.Dir); err != nil {
			return err
		}
	}
	if dir := cfg.ownOrigin(); dir != "" {
		return makeDir("origin", dir)
	}
	return nil
}

func makeDir(key, dir string) error {
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil, errors.Is(err, os.ErrExist):
		return nil
	case errors.Is(err, os.ErrNotExist):
		return noParent(key, dir)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOSPC):
		return nil // whoever uses it says what that means; a read-only L2 still serves
	default:
		return fmt.Errorf("%s: %w", key, err)
	}
}

func noParent(key, dir string) error {
	return fmt.Errorf("%s: %s does not exist; mount the disk or create it first", key, filepath.Dir(dir))
}
