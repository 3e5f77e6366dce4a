package peers

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/internal/testtool"
)

// A peer is a cache that runs, in front of the store.
type peer struct {
	name    string
	address string
	process *testtool.Process
	door    *door
	// path is the name that the cache has for an object.
	path func(object) string
	// blocks says that it has large objects as blocks only.
	blocks bool
	// kept says that it holds an object that it has answered with; nil: it does at once.
	kept func(object) bool
}

const ours = "cached"

// caches are those that are compared: what they need of Debian, and how they start.
var caches = []struct {
	name, program string
	start         func(t *testing.T, program string, d *door) peer
}{
	{name: ours, start: startCached},
	{name: "nginx-slice", program: "nginx", start: startNginxSlice},
	{name: "nginx", program: "nginx", start: startNginx},
	{name: "varnish", program: "varnishd", start: startVarnish},
	{name: "registry", program: "docker-registry", start: startRegistry},
	{name: "groupcache", start: startGroupcache},
}

// start starts every cache that can be had, the daemon first, in front of o.
func start(t *testing.T, o *origin) []peer {
	t.Helper()
	var peers []peer
	for _, c := range caches {
		program, have := "", c.program == ""
		if !have {
			t.Run("with "+c.name, func(t *testing.T) { program, have = testtool.Debian(t, c.program), true })
		}
		if !have {
			continue
		}
		p := c.start(t, program, o.open(t))
		p.name = c.name
		peers = append(peers, p)
	}
	return peers
}

// storeKey is the path that proxies know an object by: the store's own.
func storeKey(o object) string { return o.key() }

// read reads an object from the peer and compares every byte.
func (p peer) read(c *rate.Conn, o object) error {
	rest := o.body
	return c.Get(p.path(o), len(o.body), func(piece []byte) error {
		if !bytes.HasPrefix(rest, piece) {
			return fmt.Errorf("%s: wrong bytes before the last %d", p.name, len(rest)-len(piece))
		}
		rest = rest[len(piece):]
		return nil
	})
}

// readAll reads objects once, so that the peer holds them, and has them compared.
func (p peer) readAll(t *testing.T, objects []object) {
	t.Helper()
	for range 2 { // varnish and nginx may decide at the first what they do at the second
		var wg sync.WaitGroup
		for i := range clients {
			c := rate.Connect(t, p.address, blockSize)
			wg.Go(func() {
				defer c.Close()
				for n := i; n < len(objects); n += clients {
					if err := p.read(c, objects[n]); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		if wg.Wait(); t.Failed() {
			t.FailNow()
		}
		p.keeps(t, objects)
	}
}

// keeps waits until the peer holds the objects.
func (p peer) keeps(t *testing.T, objects []object) {
	t.Helper()
	if p.kept == nil {
		return
	}
	late := time.Now().Add(time.Minute)
	for _, o := range objects {
		for !p.kept(o) {
			if time.Now().After(late) {
				t.Fatalf("%s has answered with %s and does not keep it", p.name, p.path(o))
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// cpu returns what the peer's processes have computed so far. A cache may have several,
// each the child of another.
func (p peer) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	type process struct {
		parent int
		used   time.Duration
	}
	processes := map[int]process{}
	all, err := procfs.AllProcs()
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range all {
		if stat, err := p.Stat(); err == nil { // else it has ended meanwhile
			processes[p.PID] = process{stat.PPID, time.Duration(stat.CPUTime() * float64(time.Second))}
		}
	}
	var sum time.Duration
	for pid, x := range processes {
		for a := pid; a > 1; a = processes[a].parent {
			if a == p.process.Pid() {
				sum += x.used
				break
			}
		}
	}
	return sum
}

// rawRead is the path of a block by the raw encoding, as agents read.
func rawRead(o object) string {
	return "/cached.v1.BlockService/ReadBlock?encoding=raw&id=" + o.id.String()
}

// alias is the path of a block for any client of HTTP.
func alias(o object) string { return "/blocks/" + o.id.String() }

// connectGet is the path of a block by the Connect protocol's GET, proto encoded.
func connectGet(o object) string {
	id := o.id.String()
	message := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(id))), id...) // field 1, a string
	return "/cached.v1.BlockService/ReadBlock?connect=v1&encoding=proto&base64=1&message=" + base64.RawURLEncoding.EncodeToString(message)
}
