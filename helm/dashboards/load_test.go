package dashboards_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
)

// A load is what the hosts of a picture do: programs start from images that are parts
// of this machine's Go distribution, often from some and seldom from others, read what
// they need of them and a little else, and end.
type load struct {
	site   *site
	goroot string
	images []string
	isOut  atomic.Bool // the late image
}

// imagesOf is what is published of GOROOT, those that start most often first.
var imagesOf = []struct{ name, dir string }{
	{"shop-web:v7", "src/net"},
	{"shop-cart:v3", "src/crypto"},
	{"ml-resize:v1", "src/runtime"},
	{"ci-runner:v12", "src/cmd/compile"},
	{"bank-ledger:v2", "src/internal"},
	{"ops-probe:v1", "src/go"},
	{"ml-train:v4", "pkg/tool"},
	{"docs-site:v9", "src/cmd/vendor"},
}

// late is published and started everywhere at once amid the run.
const late, lateDir = "shop-web:v8", "src/cmd/go"

func newLoad(t *testing.T, s *site) *load {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	l := &load{site: s, goroot: strings.TrimSpace(string(root))}
	for _, i := range imagesOf {
		l.publish(t, i.name, i.dir)
		l.images = append(l.images, i.name)
	}
	return l
}

func (l *load) publish(t *testing.T, name, dir string) {
	t.Helper()
	l.site.run(t, "publish", "dir:"+filepath.Join(l.goroot, dir), "--name", name, "--origin", l.site.origin())
}

// String says what the load is, for the caption of a picture.
func (l *load) String() string {
	return fmt.Sprintf("starts from %d images; after half the time one new image starts on all hosts at once, then a host restarts.", len(l.images))
}

// run lets programs start on all hosts until ctx ends; shot is called amid that,
// and then a host restarts.
func (l *load) run(ctx context.Context, t *testing.T, targets []target, shot func()) {
	t.Helper()
	deadline, _ := ctx.Deadline()
	half := time.Until(deadline) / 2
	var work sync.WaitGroup
	defer work.Wait()
	clients := make([]*api.Client, len(targets))
	for i, h := range targets {
		c, err := api.NewClient("http://"+h.listen, api.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients[i] = c
		for k := range 2 {
			random := rand.New(rand.NewPCG(uint64(i), uint64(k)))
			popular := rand.NewZipf(random, 1.3, 1, uint64(len(l.images)-1))
			work.Go(func() {
				for ctx.Err() == nil {
					image := l.images[popular.Uint64()]
					if l.isOut.Load() && random.IntN(3) == 0 {
						image = late
					}
					l.start(ctx, c, image, random)
					wait(ctx, time.Duration(500+random.IntN(2500))*time.Millisecond)
				}
			})
		}
	}
	l.prepare(ctx, t, clients[0])
	wait(ctx, half)
	l.publish(t, late, lateDir)
	for i, c := range clients {
		random := rand.New(rand.NewPCG(uint64(i), 9))
		work.Go(func() {
			for range 4 {
				l.start(ctx, c, late, random)
			}
		})
	}
	l.isOut.Store(true)
	wait(ctx, half/3)
	shot()
	targets[2].process.Stop()
	wait(ctx, 10*time.Second)
	targets[2].process = targets[2].start()
	<-ctx.Done()
}

func (l *load) prepare(ctx context.Context, t *testing.T, c *api.Client) {
	t.Helper()
	for i, image := range l.images[4:7] {
		if _, err := c.PrepareImage(ctx, image, 0); err != nil {
			t.Errorf("prepare %d: %v", i, err)
		}
	}
}

// start is one start of a program: it reads the parts of the image that its workload
// needs, always the same, and one part that it alone wants.
func (l *load) start(ctx context.Context, c *api.Client, image string, random *rand.Rand) {
	workload := "serve"
	if strings.HasPrefix(image, "ci-") {
		workload = "job"
	}
	img, err := agent.Open(ctx, agent.Options{Image: image, Workload: workload, Daemon: c, Deadline: 10 * time.Second})
	if err != nil {
		return // its host restarts, or the run is over
	}
	defer img.Close()
	h := fnv.New64a()
	h.Write([]byte(image + workload))
	needs := rand.New(rand.NewPCG(h.Sum64(), 0))
	const part = 128 << 10
	parts := img.Size()/part + 1
	buffer := make([]byte, part)
	for range parts / 4 {
		_, _ = img.ReadAtContext(ctx, buffer, needs.Int64N(parts)*part) // the last is short
		wait(ctx, 5*time.Millisecond)
	}
	_ = img.MarkReady(ctx)
	_, _ = img.ReadAtContext(ctx, buffer, random.Int64N(parts)*part)
}

// wait is for time to pass, or for ctx to end.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
