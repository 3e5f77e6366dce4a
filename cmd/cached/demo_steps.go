package main

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"os"
	"strings"
	"time"

	"github.com/zonecache/cached/agent"

	"github.com/dustin/go-humanize"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/image"
	"github.com/zonecache/cached/image/rootfs"
	"github.com/zonecache/cached/image/source"
)

// publish publishes the source twice: the second time shows that nothing is
// uploaded again.
func (d *demo) publish(ctx context.Context) error {
	cfg := Default()
	cfg.DataDir = d.dir
	cfg.complete()
	bar := newProgress(d.errOut)
	defer bar.finish()
	src, err := source.Parse(d.source, source.Options{})
	if err != nil {
		return err
	}
	hashed := &hashedSource{Source: src}
	if d.published, err = publishTo(ctx, cfg, hashed, image.PublishOptions{Name: demoName}, bar); err != nil {
		return err
	}
	d.digest = hashed.sum()
	bar.finish()
	if err := printResult(d.out, demoName, d.published); err != nil {
		return err
	}
	again, err := publishTo(ctx, cfg, src, image.PublishOptions{Name: "demo:again"}, bar)
	if err != nil {
		return err
	}
	bar.finish()
	if again.Manifest != d.published.Manifest || again.New.Blocks != 0 {
		return fmt.Errorf("publishing the same source again gave %s with %d new blocks, want %s with none", again.Manifest, again.New.Blocks, d.published.Manifest)
	}
	_, err = fmt.Fprintf(d.out, "  again      the same manifest, 0 blocks uploaded, in %.1f s\n", (again.Prepare + again.Upload).Seconds())
	return err
}

// withDaemon runs a daemon while use does, and stops it.
func (d *demo) withDaemon(ctx context.Context, use func(context.Context, *demoDaemon) error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	began := time.Now()
	// L2 takes what the disk can spare: the demo must run on a full one, too.
	daemon, err := startDemoDaemon(ctx, self, "--data-dir", d.dir, "--l1-size", "1GiB", "--l2-size", "4GiB", "--l2-min-free", "256MiB")
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "  daemon     ready in %d ms\n", time.Since(began).Milliseconds())
	return errors.Join(use(ctx, daemon), daemon.stop())
}

// pass reads the whole image and compares its digest with the published one.
func (d *demo) pass(ctx context.Context, daemon *demoDaemon, name string) (err error) {
	p := demoPass{name: name}
	if p.before, err = daemon.report(ctx); err != nil {
		return err
	}
	img, err := openImage(ctx, agent.Options{Image: demoName, Daemon: daemon.client})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	bar := newProgress(d.errOut)
	defer bar.finish()
	digest := block.NewHash()
	began := time.Now()
	p.bytes, err = img.CopyRange(ctx, writerFunc(func(b []byte) (int, error) {
		n, err := digest.Write(b)
		p.bytes += int64(n)
		bar.update("reading "+name, p.bytes, img.Size())
		return n, err
	}), 0, img.Size())
	if err != nil {
		return err
	}
	p.took = time.Since(began)
	if got := block.ID(digest.Sum(nil)); got != d.digest {
		return fmt.Errorf("read %s: the image's bytes hash to %s, published were %s", name, got, d.digest)
	}
	if p.after, err = daemon.report(ctx); err != nil {
		return err
	}
	if p.after.Imbalance != "" {
		return fmt.Errorf("the books do not balance: %s", p.after.Imbalance)
	}
	d.passes = append(d.passes, p)
	return nil
}

// compare holds a published directory against what the daemon serves, file by
// file. Other sources have no tree to compare with; each pass has hashed them.
func (d *demo) compare(ctx context.Context, daemon *demoDaemon) (rootfs.Report, error) {
	dir, ok := strings.CutPrefix(d.source, "dir:")
	if !ok {
		return rootfs.Report{}, nil
	}
	img, err := openImage(ctx, agent.Options{Image: demoName, Daemon: daemon.client})
	if err != nil {
		return rootfs.Report{}, err
	}
	defer img.Close()
	tree, err := rootfs.Open(img, img.Size())
	if err != nil {
		return rootfs.Report{}, err
	}
	report, err := rootfs.Compare(ctx, dir, tree, rootfs.KeepOwner)
	if err == nil && !report.Same() {
		err = fmt.Errorf("%d differences between the image and %s, the first: %s", report.Different, dir, report.Mismatches[0])
	}
	if err == nil {
		fmt.Fprintf(d.out, "  compared   %d entries, %s of content\n", report.Entries, humanize.IBytes(uint64(report.Bytes)))
	}
	return report, err
}

func (d *demoDaemon) report(ctx context.Context) (statsReport, error) {
	l, err := d.client.Ledger(ctx)
	if err != nil {
		return statsReport{}, err
	}
	return newStatsReport(l), nil
}

// A hashedSource hashes what is read from a source.
type hashedSource struct {
	image.Source
	hash hash.Hash
}

// Open implements [image.Source].
func (s *hashedSource) Open(ctx context.Context, report func(image.Progress)) (*image.Content, error) {
	c, err := s.Source.Open(ctx, report)
	if err != nil {
		return nil, err
	}
	s.hash = block.NewHash()
	c.Bytes = hashedBytes{c.Bytes, s.hash}
	return c, nil
}

func (s *hashedSource) sum() block.ID { return block.ID(s.hash.Sum(nil)) }

type hashedBytes struct {
	contentBytes
	hash hash.Hash
}

// contentBytes is the type of image.Content.Bytes.
type contentBytes interface {
	Read(p []byte) (int, error)
	Close() error
}

// Read implements io.Reader.
func (h hashedBytes) Read(p []byte) (int, error) {
	n, err := h.contentBytes.Read(p)
	_, _ = h.hash.Write(p[:n]) // a hash does not fail
	return n, err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
