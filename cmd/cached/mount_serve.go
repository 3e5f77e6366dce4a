package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/bundle"
	"github.com/zonecache/cached/mount"
	"github.com/zonecache/cached/tiers/origin"
)

// A mounted is what a mount's process tells the command that waits for it.
type mounted struct {
	Error    string  `json:"error,omitempty"`
	Dir      string  `json:"dir"`
	Image    string  `json:"image"`
	Manifest string  `json:"manifest_id"`
	Kind     string  `json:"kind"`
	Bytes    int64   `json:"bytes"`
	PID      int     `json:"pid"`
	Bundle   string  `json:"bundle,omitempty"`
	Seconds  float64 `json:"seconds"`
	Stale    bool    `json:"stale,omitempty"`
}

// idleMemory is what a mount's process keeps of free buffers while it is read, so that
// memory is not made resident again and again; half a minute later it keeps none.
const idleMemory = 32 << 20

// mappedAhead is what the kernel reads around a touched page of a file of any bytes: a
// machine's memory is mapped, and touched here and there. Who reads such a file from
// its start to its end is read ahead of by the agent.
const mappedAhead = 16 << 10

// serve mounts the image and serves it until it is unmounted.
func (c *mountCommand) serve(cmd *cobra.Command) error {
	// Both end the mount if nobody uses it, and nothing otherwise.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	began := time.Now()
	img, done, err := c.open(cmd.Context(), log)
	if err != nil {
		return err
	}
	defer done()
	m, err := c.mountImage(img, log)
	if err != nil {
		return err
	}
	r := m.Record()
	state := mounted{
		Dir: r.Dir, Image: c.image, Manifest: r.Manifest, Kind: string(r.Kind), Bytes: img.Size(), PID: r.PID,
		Bundle: c.bundle, Seconds: time.Since(began).Seconds(), Stale: img.Stale(),
	}
	log.Info("mounted", "image", c.image, "manifest", r.Manifest, "dir", r.Dir, "as", r.Kind, "took", time.Since(began).Round(time.Microsecond))
	if err := c.tell(cmd, state); err != nil {
		return errors.Join(err, m.Unmount())
	}
	return waitForUnmount(m, img, signals, log)
}

// waitForUnmount returns when the mount is gone.
func waitForUnmount(m *mount.Mount, img *agent.Image, signals <-chan os.Signal, log *slog.Logger) error {
	gone := make(chan error, 1)
	go func() { gone <- m.Wait(context.Background()) }()
	for {
		select {
		case err := <-gone:
			s := img.Stats()
			log.Info("unmounted", "image", img.Name(), "l1", s.Blocks[block.Memory], "l2", s.Blocks[block.Disk], "l3", s.Blocks[block.Peer], "l4", s.Blocks[block.Origin],
				"failed", s.Failed, "ahead", s.Ahead, "ahead_used", s.AheadUsed)
			return err
		case <-signals:
			if err := m.Unmount(); err != nil {
				log.Warn("the mount stays: "+err.Error(), "image", img.Name())
			}
		}
	}
}

// open opens the image, and returns what closes it and all it reads from.
func (c *mountCommand) open(ctx context.Context, log *slog.Logger) (*agent.Image, func(), error) {
	pool := block.NewPool(idleMemory)
	client, err := c.server.newClientOf(pool)
	if err != nil {
		return nil, nil, err
	}
	o := agent.Options{Pool: pool, Image: c.image, Workload: c.workload, Daemon: client, Grace: c.grace, Deadline: c.deadline, Window: int64(c.window), Logger: log}
	closers := []func() error{client.Close}
	done := func() {
		for _, f := range closers {
			if err := f(); err != nil {
				log.Debug("closing", "error", err)
			}
		}
	}
	if len(c.origins) > 0 {
		direct, err := origin.Open(ctx, c.origins, origin.Options{Pool: pool, Logger: log})
		if err != nil {
			done()
			return nil, nil, err
		}
		closers = append(closers, direct.Close)
		o.Origin = directOrigin{direct}
	}
	img, err := openImage(ctx, o)
	if err != nil {
		done()
		return nil, nil, err
	}
	closers = append([]func() error{img.Close}, closers...)
	if kind := img.Manifest().MediaType; kind != image.MediaTypeEROFS && c.as != string(mount.File) {
		done()
		return nil, nil, fmt.Errorf("mount: %s is no file system but %s: `cached read %s` gives its bytes, and --as file a file of them", c.image, kind, c.image)
	}
	return img, done, nil
}

// mountImage mounts img, with the bundle around it if there is to be one.
func (c *mountCommand) mountImage(img *agent.Image, log *slog.Logger) (*mount.Mount, error) {
	kind, err := mount.ParseKind(c.as)
	if err != nil {
		return nil, err
	}
	if c.bundle != "" {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return nil, fmt.Errorf("mount: bundle: %w", err)
		}
	}
	o := mount.Options{
		Dir: c.dir, Image: c.image, Manifest: img.ID().String(), As: kind, Overlay: c.overlay, State: c.state, Logger: log,
	}
	if img.Manifest().MediaType == image.MediaTypeBytes {
		o.ReadAhead = mappedAhead
	}
	m, err := mount.New(img, o)
	if err != nil || c.bundle == "" {
		return m, err
	}
	if err := c.writeBundle(img, log); err != nil {
		return nil, errors.Join(err, m.Unmount(), m.Wait(context.Background()))
	}
	return m, nil
}

// writeBundle writes the config of a container in the image, which is mounted.
func (c *mountCommand) writeBundle(img *agent.Image, log *slog.Logger) error {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return fmt.Errorf("mount: bundle: %w", err)
	}
	defer root.Close()
	opts := bundle.Options{Args: c.args, ReadOnly: c.overlay == "", HostNetwork: c.hostNet}
	b, err := bundle.New([]byte(img.Manifest().Annotations[image.AnnotationConfig]), root.FS(), opts)
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if len(b.Omitted) > 0 {
		log.Warn("a part of the image's configuration has no place in a bundle", "omitted", b.Omitted)
	}
	return b.Write(c.bundle)
}

// tell says that the mount stands.
func (c *mountCommand) tell(cmd *cobra.Command, state mounted) error {
	if c.readyFD == 0 {
		return c.print(cmd.OutOrStdout(), state)
	}
	f := os.NewFile(uintptr(c.readyFD), "ready")
	return errors.Join(json.NewEncoder(f).Encode(state), f.Close())
}

// log returns where a background process of this mount logs.
func (c *mountCommand) logFile() (string, error) {
	home, err := mount.Home(c.state, c.dir)
	return filepath.Join(home, "log"), err
}
