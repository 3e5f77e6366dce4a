package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/images"
	"github.com/zonecache/cached/loadtest/zone"
)

const (
	registryPort      = 5000
	frontStorePort    = 9080
	frontRegistryPort = 5080
	storePort         = 9000
)

// A lab is the hosts with what runs on them, see the package.
type lab struct {
	tools
	zone        *zone.Zone
	first, next *zone.Node // the next one is down unless a measurement starts it
	front       front
	images      []images.Built
	dir         string // on a real disk
	containers  int
	rooms       int
	registry    string // address; "" until the images are pushed

	mu     sync.Mutex
	mounts map[string]mounted // that stand, by directory
}

// A memory says what the daemons of a lab do with what starts read.
type memory bool

const (
	forgetful memory = false // every start is the first of its workload
	learning  memory = true  // they learn from starts, and read ahead of later ones
)

// newLab starts a lab in which these images are published.
func newLab(t *testing.T, m memory, names ...string) *lab {
	t.Helper()
	needHost(t)
	l := &lab{tools: findTools(t), dir: t.TempDir(), mounts: map[string]mounted{}}
	for _, name := range names {
		l.images = append(l.images, images.Need(t, name))
	}
	l.zone = zone.Start(t, zone.Options{
		Programs: l.programs, Nodes: 2, Link: netlab.Link{Rate: netlab.Gbit}, OriginLink: netlab.Link{Rate: 200 * netlab.Mbit},
		Spread: zone.Redirect, L1: "2GiB", L2: "8GiB",
		Flags: []string{fmt.Sprintf("--prefetch=%v", m)},
		Front: func(s *zone.Store) string {
			l.front.host = s.Host
			l.front.before(t, frontStorePort, s.Host.Address(storePort))
			return strings.Replace(s.URL, s.Host.Address(storePort), s.Host.Address(frontStorePort), 1)
		},
	})
	l.first, l.next = l.zone.Nodes[0], l.zone.Nodes[1]
	l.alone(t)
	t.Cleanup(func() {
		for _, m := range l.mounts {
			l.abandon(t, m)
		}
	})
	for _, img := range l.images {
		l.publish(t, img)
	}
	return l
}

func (l *lab) publish(t *testing.T, img images.Built) {
	t.Helper()
	l.zone.Store.PublishSource(t, l.programs, img.Source(), img.Ref())
}

// imageNames are the images of a measurement, the field's or tiny.
func imageNames() []string {
	if names := os.Getenv("HOST_IMAGES"); names != "" { // to look into something
		return strings.Fields(names)
	}
	if figure.Full() {
		return []string{"flask", "node", "pyml", "chrome", "torch"}
	}
	return []string{"tiny"}
}

// alone takes the second host out of the zone and forgets what it held.
func (l *lab) alone(t *testing.T) {
	t.Helper()
	l.next.Wipe(t)
	l.zone.Await(t, []*zone.Node{l.first})
}

// cold gives the first host empty caches.
func (l *lab) cold(t *testing.T) {
	t.Helper()
	l.first.Wipe(t)
	l.first.Start(t)
	l.zone.Await(t, []*zone.Node{l.first})
}

// join starts the second host, which has empty caches, in the zone of the first.
func (l *lab) join(t *testing.T) {
	t.Helper()
	l.next.Start(t)
	l.zone.Await(t, []*zone.Node{l.first, l.next})
}

// push starts the registry on the origin's host and fills it with the images.
func (l *lab) push(t *testing.T) {
	t.Helper()
	host := l.zone.Store.Host
	config := filepath.Join(l.dir, "registry.yml")
	const text = "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n"
	address := host.Address(registryPort)
	if err := os.WriteFile(config, fmt.Appendf(nil, text, filepath.Join(l.dir, "registry"), address), 0o644); err != nil {
		t.Fatal(err)
	}
	host.Start(t, exec.Command(l.tools.registry, "serve", config), testtool.Listening(address))
	for _, img := range l.images {
		cmd := l.skopeoCopy(img.Source(), "docker://"+address+"/"+img.Ref())
		var out []byte
		var err error
		host.Do(t, func() { out, err = cmd.CombinedOutput() })
		if err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	l.front.before(t, frontRegistryPort, address)
	l.registry = host.Address(frontRegistryPort)
}

func (l *lab) skopeoCopy(from, to string) *exec.Cmd {
	cmd := exec.Command(l.skopeo, "--insecure-policy", "--tmpdir", l.dir, "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", from, to)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "XDG_RUNTIME_DIR=" + l.dir}
	return cmd
}

// room returns a new empty directory.
func (l *lab) room(t *testing.T, name string) string {
	t.Helper()
	l.rooms++
	dir := filepath.Join(l.dir, fmt.Sprintf("%s-%d", name, l.rooms))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
