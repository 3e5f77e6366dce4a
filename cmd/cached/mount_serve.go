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
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
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
	Kept     bool    `json:"kept,omitempty"` // what was read of an earlier mount is there
}

// idleMemory is what a mount's process keeps of free buffers while it is read, so that
// memory is not made resident again and again; half a minute later it keeps none.
const idleMemory = 32 << 20

// mappedAhead is what the kernel reads around a touched page of a file of any bytes: a
// machine's memory is mapped, and touched here and there. Who reads such a file from
// its start to its end is read ahead of by the agent.
const mappedAhead = 16 << 10

// A served is a mount of this process.
type served struct {
	c    *mountCommand
	img  *agent.Image
	done func() // closes the image and all it reads from, once nobody reads
	m    *mount.Mount
	log  *slog.Logger
}

// serve mounts the image and serves it until it is unmounted, then the mounts that come
// while it is kept.
func (c *mountCommand) serve(cmd *cobra.Command) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, mount.SignalLook, mount.SignalKeepNothing)
	defer signal.Stop(signals)
	if err := c.prepareToKeep(); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	began := time.Now()
	s := &served{c: c, log: log}
	var err error
	if s.img, s.done, err = c.open(cmd.Context(), log); err != nil {
		return err
	}
	if s.m, err = c.mountImage(s.img, log, mount.New); err != nil {
		s.done()
		return err
	}
	state := s.state(time.Since(began))
	log.Info("mounted", "image", c.image, "manifest", state.Manifest, "dir", state.Dir, "as", state.Kind, "took", time.Since(began).Round(time.Microsecond))
	if err := c.tell(cmd, state); err != nil {
		err = errors.Join(err, s.m.Unmount())
		s.done()
		return err
	}
	for {
		kept, err := s.wait(signals)
		if kept == nil || err != nil {
			s.done()
			return err
		}
		if s = s.keep(kept, signals); s == nil {
			return nil
		}
	}
}

// prepareToKeep finds out whether the mount may be kept, and has the records found from
// everywhere. A process in the foreground is somebody's who waits for its end.
func (c *mountCommand) prepareToKeep() (err error) {
	if c.readyFD == 0 || os.Geteuid() != 0 {
		c.keep = 0
	}
	c.state, err = filepath.Abs(c.state)
	return err
}

// state returns what is told of the mount.
func (s *served) state(took time.Duration) mounted {
	r := s.m.Record()
	return mounted{
		Dir: r.Dir, Image: s.c.image, Manifest: r.Manifest, Kind: string(r.Kind), Bytes: s.img.Size(), PID: r.PID,
		Bundle: s.c.bundle, Seconds: took.Seconds(), Stale: s.img.Stale(), Kept: s.c.held,
	}
}

// wait returns when the mount is gone, with what is kept of it. Signals end the mount if
// nobody uses it, and nothing otherwise.
func (s *served) wait(signals <-chan os.Signal) (*mount.Kept, error) {
	gone := make(chan error, 1)
	go func() { gone <- s.m.Wait(context.Background()) }()
	for {
		select {
		case err := <-gone:
			st := s.img.Stats()
			s.log.Info("unmounted", "image", s.img.Name(), "l1", st.Blocks[block.Memory], "l2", st.Blocks[block.Disk], "l3", st.Blocks[block.Peer], "l4", st.Blocks[block.Origin],
				"failed", st.Failed, "ahead", st.Ahead, "ahead_used", st.AheadUsed)
			return s.m.Kept(), err
		case sig := <-signals:
			switch sig {
			case mount.SignalLook:
				s.m.Look()
				continue
			case mount.SignalKeepNothing:
				s.m.KeepNothing()
				continue
			}
			if err := s.m.Unmount(); err != nil {
				s.log.Warn("the mount stays: "+err.Error(), "image", s.img.Name())
			}
		}
	}
}

// open opens the image, and returns what closes it and all it reads from.
func (c *mountCommand) open(ctx context.Context, log *slog.Logger) (*agent.Image, func(), error) {
	pool := block.NewPool(idleMemory)
	access, err := c.server.clientOptions()
	if err != nil {
		return nil, nil, err
	}
	if c.keep > 0 {
		if c.heirs, err = c.audience(access.Token); err != nil {
			return nil, nil, err
		}
	}
	access.Pool = pool
	client, err := api.NewClient(c.server.url, access)
	if err != nil {
		return nil, nil, err
	}
	o := agent.Options{Pool: pool, Image: c.image, Workload: c.workload, Daemon: client, Grace: c.grace, Deadline: c.deadline, Window: int64(c.window), PagesHeld: c.held, Logger: log}
	closers := []func() error{client.Close}
	done := sync.OnceFunc(func() {
		for _, f := range closers {
			if err := f(); err != nil {
				log.Debug("closing", "error", err)
			}
		}
	})
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

// mountImage mounts img by how, with the bundle around it if there is to be one.
func (c *mountCommand) mountImage(img *agent.Image, log *slog.Logger, how func(mount.Source, mount.Options) (*mount.Mount, error)) (*mount.Mount, error) {
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
	if c.keep > 0 {
		o.Keep = &mount.Keep{Workload: c.workload, For: c.heirs, Time: c.keep}
	}
	if img.Manifest().MediaType == image.MediaTypeBytes {
		o.ReadAhead = mappedAhead
	}
	if c.bundle != "" {
		o.Ready = func() error { return c.writeBundle(img, log) }
	}
	return how(img, o)
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
