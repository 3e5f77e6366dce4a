package docs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/internal/testtool"
)

// launch has a program start on a host: it reads size bytes of an image from an offset.
func (s *site) launch(ctx context.Context, name, image, workload string, offset int64, size int) error {
	address := s.hosts[name].ip
	if name == "h1" {
		address = "127.0.0.1"
	}
	client, err := api.NewClient("http://"+address+":7070", api.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	img, err := agent.Open(ctx, agent.Options{Image: image, Workload: workload, Daemon: client, Ahead: -1})
	if err != nil {
		return err
	}
	defer img.Close()
	for p := make([]byte, 64<<10); size > 0; size -= len(p) {
		if _, err := img.ReadAt(p, offset); err != nil {
			return err
		}
		offset += int64(len(p))
	}
	// What was read ahead comes while the program is there.
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return img.MarkReady(ctx)
}

// programs are two that start again and again, under one name for both until named is set.
type programs struct {
	named atomic.Bool
	stop  func()
}

// fickle has workloads start that read one part of the image on one host, and another part
// on the next: what was learned is read ahead in vain. It goes on until it is stopped.
func (s *site) fickle(image string) *programs {
	s.Helper()
	p := &programs{}
	const part = 4 << 20
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			workload := fmt.Sprintf("serve-%d", n)
			other := workload
			if p.named.Load() {
				other += "-other"
			}
			offset := int64(n%24) * 2 * part
			err := s.launch(ctx, "h2", image, workload, offset, part)
			s.poll("what "+workload+" reads is learned", func() (bool, any) {
				ls := exec.Command("cached", "trace", "ls", image, "--origin", s.store.url)
				ls.Env = append(os.Environ(), storeKeys...)
				shown, err := ls.CombinedOutput()
				return ctx.Err() != nil || err == nil && strings.Contains(string(shown), workload), string(shown)
			})
			for range 2 {
				if err == nil {
					err = s.launch(ctx, "h1", image, other, offset+part, part)
				}
			}
			if err != nil && ctx.Err() == nil {
				s.Errorf("a start of %s: %v", workload, err)
				return
			}
		}
	})
	var once sync.Once
	p.stop = func() { once.Do(func() { cancel(); work.Wait() }) }
	s.Cleanup(p.stop)
	return p
}

// liar has a node join that answers with wrong bytes.
func (s *site) liar() *testtool.Process {
	s.Helper()
	s.output("cached", "certs", "issue", "--ca", "/srv/ca", "--node", "h4", "--out", "/srv/h4")
	p := testtool.Start(s.T, exec.Command("/usr/local/bin/liar", "-zone", "eu-1a", "-node", "h4", "-peer-listen", "10.0.0.4:7072", "-gossip", "10.0.0.4:7946",
		"-seed", "10.0.0.1:7946", "-zone-tls", "/srv/h4", "-gossip-keys", "/etc/cached/gossip.keys"), testtool.Listening("10.0.0.4:7072"))
	s.prometheus.Await(s.T, `cached_ring_members{node="h1"} == 4`)
	return p
}
