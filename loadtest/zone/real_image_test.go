package zone_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/images"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/prefetch"
)

const (
	realImage = "flask:v1"
	workload  = "start"
)

// newStage starts a zone of n hosts, or of two for a quick look, whose store has the image:
// a real one of which a start has been recorded, or a made-up one.
func newStage(t *testing.T, n int) *stage {
	t.Helper()
	o := options(t, zone.Redirect)
	o.Nodes, o.Link, o.OriginLink = n, modest, modest
	if !figure.Full() {
		o.Nodes = 2
	}
	if n, err := strconv.Atoi(os.Getenv("ZONE_NODES")); err == nil {
		o.Nodes = n
	}
	o.L2 = "1GiB"
	if !figure.Full() {
		z := zone.Start(t, o)
		return madeUp(t, z, o)
	}
	o.Image = 0
	img := images.Need(t, realImage)
	z := zone.Start(t, o)
	z.Store.PublishSource(t, o.Programs, img.Source(), img.Ref())
	s := &stage{Zone: z, options: o}
	indexes := s.record(t, img)
	z.Reset(t, 1, zone.Alone)
	blocks := show(t, z.Nodes[0], o, img.Ref())
	s.start = taught(t, z, o, newLoad(t, blocks, img.Ref(), indexes), workload, blocks, indexes)
	s.whole = newLoad(t, blocks, img.Ref(), all(blocks))
	t.Logf("%s: %d distinct blocks, %d bytes; a start touches %d of them, %d bytes", img.Ref(), len(s.whole.ids), s.whole.bytes, len(s.start.ids), s.start.bytes)
	return s
}

// madeUp is a stage with the zone's own image, of which a start reads every other block.
func madeUp(t *testing.T, z *zone.Zone, o zone.Options) *stage {
	t.Helper()
	blocks := show(t, z.Nodes[0], o, zone.ImageName)
	var half []uint32
	for _, i := range all(blocks) {
		if i%2 == 0 {
			half = append(half, i)
		}
	}
	s := &stage{Zone: z, options: o}
	s.start = taught(t, z, o, newLoad(t, blocks, zone.ImageName, half), workload, blocks, half)
	s.whole = newLoad(t, blocks, zone.ImageName, all(blocks))
	return s
}

// other is an image of made-up bytes as a load.
func (s *stage) other(t *testing.T) load {
	t.Helper()
	const name = "other"
	s.Reset(t, 1, zone.Alone)
	s.Store.Publish(t, s.options.Programs, zone.Content{Name: name, Size: 8 << 20, Seed: 7})
	blocks := show(t, s.Nodes[0], s.options, name)
	return newLoad(t, blocks, name, all(blocks))
}

func all(s shown) []uint32 {
	indexes := make([]uint32, len(s.Blocks))
	for i := range indexes {
		indexes[i] = uint32(i)
	}
	return indexes
}

// record starts a container of the image from a mount on the first host, and returns
// the blocks that it touched until it was ready, in order.
func (s *stage) record(t *testing.T, img images.Built) []uint32 {
	t.Helper()
	runc := testtool.Debian(t, "runc")
	node, p := s.Nodes[0], s.options.Programs
	s.Reset(t, 1, zone.Alone)
	dir := t.TempDir()
	state, bundle := filepath.Join(dir, "mounts"), filepath.Join(dir, "bundle")
	rootfs := filepath.Join(bundle, "rootfs")
	// In the foreground: it ends with this test, whoever waits for orphans here.
	mount := p.Command("mount", img.Ref(), "--foreground", "--state-dir", state, "--workload", "recorded",
		"--runtime-bundle", bundle, "--overlay", filepath.Join(dir, "upper"), "--host-network")
	node.Host.Start(t, mount, func(context.Context) bool {
		_, config := os.Stat(filepath.Join(bundle, "config.json"))
		_, app := os.Stat(filepath.Join(rootfs, "app"))
		return config == nil && app == nil
	})
	up := true
	umount := func(flags ...string) error {
		_, err := try(t, node, p.Command(append([]string{"umount", "--state-dir", state, rootfs}, flags...)...))
		up = up && err != nil
		return err
	}
	defer func() {
		if up {
			_ = umount("--lazy") // the test has failed
		}
	}()
	root, id := filepath.Join(dir, "runc"), fmt.Sprint("zone-", os.Getpid())
	defer func() { _ = exec.Command(runc, "--root", root, "delete", "--force", id).Run() }() // where the test has failed
	container := node.Host.Start(t, exec.Command(runc, "--root", root, "run", "--bundle", bundle, id), func(ctx context.Context) bool {
		return answers(ctx, node, img.Ready)
	})
	container.Stop()
	eventually(t, "umount", func() error { return umount() })
	var trace prefetch.Trace
	eventually(t, "the start is recorded", func() error {
		out, err := try(t, node, p.Command("trace", "export", img.Ref(), "--workload", "recorded", "--origin", s.Origin))
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(out), &trace)
	})
	indexes := make([]uint32, len(trace.Touches))
	for i, touch := range trace.Touches {
		indexes[i] = touch.Block
	}
	return indexes
}

// answers reports whether the container's port does as it should once it is ready.
func answers(ctx context.Context, node *zone.Node, ready images.Ready) bool {
	transport := node.Transport()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", ready.Port), http.NoBody)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && strings.Contains(string(body), ready.Text)
}

// eventually polls, because what it waits for happens in other processes.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after a minute: %v", what, err)
		}
	}
}
