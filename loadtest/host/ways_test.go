package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/images"
	"github.com/zonecache/cached/loadtest/zone"
)

// A start is what one start took.
type start struct {
	ready  time.Duration // from the command to the container's word
	mount  time.Duration // of it
	origin int64         // bytes over the origin's link to its hosts
	served map[cachedv1.Tier]count
}

type count struct{ blocks, bytes int64 }

// A watch sees what a start moves.
type watch struct {
	l       *lab
	node    *zone.Node
	traffic netlab.Traffic
	served  map[cachedv1.Tier]count
	began   time.Time
}

func (l *lab) watch(t *testing.T, node *zone.Node) *watch {
	t.Helper()
	return &watch{l, node, l.zone.Store.Host.Traffic(t), served(t, node), time.Now()}
}

func (w *watch) end(t *testing.T, ready time.Time, mount time.Duration) start {
	t.Helper()
	s := start{ready: ready.Sub(w.began), mount: mount, origin: w.l.zone.Store.Host.Traffic(t).Since(w.traffic).Sent, served: served(t, w.node)}
	for tier, before := range w.served {
		c := s.served[tier]
		s.served[tier] = count{c.blocks - before.blocks, c.bytes - before.bytes}
	}
	return s
}

// served is what the daemon has given to its host's programs, by tier.
func served(t *testing.T, node *zone.Node) map[cachedv1.Tier]count {
	t.Helper()
	sum := map[cachedv1.Tier]count{}
	for _, s := range node.Ledger(t).GetServed() {
		c := sum[s.GetTier()]
		sum[s.GetTier()] = count{c.blocks + int64(s.GetCount().GetBlocks()), c.bytes + int64(s.GetCount().GetBytes())}
	}
	return sum
}

// pull starts an image as users do without us, and returns where it was unpacked.
func (l *lab) pull(t *testing.T, img images.Built) (start, string) {
	t.Helper()
	dir := l.room(t, "pull")
	layout, bundle := filepath.Join(dir, "oci")+":"+img.Tag, filepath.Join(dir, "bundle")
	l.cool(t)
	w := l.watch(t, l.first)
	on(t, l.first, l.skopeoCopy("docker://"+l.registry+"/"+img.Ref(), "oci:"+layout))
	on(t, l.first, exec.Command(l.umoci, "unpack", "--image", layout, bundle))
	edit(t, bundle, bundle, hostNetwork)
	s := w.end(t, l.run(t, l.first, bundle, img.Image), 0)
	return s, filepath.Join(bundle, "rootfs")
}

// lazy starts an image from a mount, which stays.
func (l *lab) lazy(t *testing.T, node *zone.Node, img images.Built, workload string) (start, mounted) {
	t.Helper()
	l.cool(t)
	w := l.watch(t, node)
	m := l.mountBundle(t, node, img.Ref(), "--workload", workload)
	return w.end(t, l.run(t, node, m.bundle, img.Image), m.took), m
}

// kept starts an image from a mount whose pages the kernel has of one before, which is
// made and started first.
func (l *lab) kept(t *testing.T, img images.Built, workload string) (start, mounted) {
	t.Helper()
	flags := []string{"--workload", workload, "--keep", "10m"}
	m := l.mountBundle(t, l.first, img.Ref(), flags...)
	l.again(t, m.bundle, img)
	l.umount(t, m)
	await(t, "an image is kept", func() error {
		if out := on(t, l.first, l.programs.Command("mount", "--kept", "--json", "--state-dir", l.state())); len(out) < len("[{}]") {
			return errors.New("none is")
		}
		return nil
	})
	w := l.watch(t, l.first)
	m = l.mountBundle(t, l.first, img.Ref(), flags...)
	if !m.Kept {
		t.Errorf("nothing was kept of %s", img.Ref())
	}
	return w.end(t, l.run(t, l.first, m.bundle, img.Image), m.took), m
}

// again starts another container of a bundle.
func (l *lab) again(t *testing.T, bundle string, img images.Built) start {
	t.Helper()
	w := l.watch(t, l.first)
	return w.end(t, l.run(t, l.first, bundle, img.Image), 0)
}

// local makes the bundle of a mount one of an unpacked directory.
func (l *lab) local(t *testing.T, m mounted, rootfs string) string {
	t.Helper()
	dir := l.room(t, "local")
	edit(t, m.bundle, dir, func(spec map[string]any) { spec["root"].(map[string]any)["path"] = rootfs })
	return dir
}

// remove deletes what a pull left.
func remove(t *testing.T, rootfs string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Dir(filepath.Dir(rootfs))); err != nil {
		t.Error(err)
	}
}
