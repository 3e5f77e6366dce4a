package zone_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/netlab"
	"github.com/zonecache/cached/loadtest/zone"
)

// A plainReader reads blocks over one connection from the daemon of its host,
// and checks nothing but their length.
type plainReader struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

func newPlainReader(t *testing.T, host *netlab.Host, address string, size int) *plainReader {
	t.Helper()
	c, err := host.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &plainReader{conn: c, in: bufio.NewReader(c), body: make([]byte, size)}
}

// read reads a block and returns who served it.
func (r *plainReader) read(id block.ID) (string, error) {
	if _, err := fmt.Fprintf(r.conn, "GET /blocks/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", id); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(r.body)) {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // for the message
		return "", fmt.Errorf("%s, %d bytes: %s", resp.Status, resp.ContentLength, text)
	}
	_, err = io.ReadFull(resp.Body, r.body)
	return resp.Header.Get("X-Cached-Tier"), err
}

// rawTCP serves size bytes for every 100 bytes it gets, without any protocol.
func rawTCP(t *testing.T, from, to *netlab.Host, size int) func() error {
	t.Helper()
	l, err := from.Listen(t.Context(), "tcp", from.Address(9999))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		ask, answer := make([]byte, 100), make([]byte, size)
		for {
			if _, err := io.ReadFull(c, ask); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}()
	c, err := to.Dial(t.Context(), "tcp", from.Address(9999))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); l.Close(); <-done })
	ask, answer := make([]byte, 100), make([]byte, size)
	return func() error {
		if _, err := c.Write(ask); err != nil {
			return err
		}
		_, err := io.ReadFull(c, answer)
		return err
	}
}

// TestProveZoneReadLatency reads blocks of 512 KiB over links that are not shaped:
// from a peer's memory, by a node that keeps nothing; from a node's own disk; and
// as many bytes over bare TCP. They take turns.
func TestProveZoneReadLatency(t *testing.T) {
	alone(t)
	measureReadLatency(t)
}

func measureReadLatency(t *testing.T) {
	const size = 512 << 10
	blocks, rounds := 16, 5
	if figure.Full() {
		blocks, rounds = 64, 160
	}
	o := options(t, zone.Redirect)
	o.Nodes, o.Link, o.OriginLink, o.Image = 3, netlab.Link{}, netlab.Link{}, 1<<20
	o.L1, o.L2 = "256MiB", "256MiB"
	o.Each = func(node int) []string {
		return [][]string{
			{"--l1-size", "0", "--l2-size", "0", "--weight", "0"}, // keeps nothing
			{}, // owns everything
			{"--l1-size", "0", "--l2-admit", "always", "--weight", "0"}, // keeps everything on its disk
		}[node]
	}
	z := zone.Start(t, o)
	ids := z.Store.PutBlocks(t, blocks, size)
	peer := newPlainReader(t, z.Nodes[0].Host, "127.0.0.1:7070", size)
	disk := newPlainReader(t, z.Nodes[2].Host, "127.0.0.1:7070", size)
	tcp := rawTCP(t, z.Nodes[1].Host, z.Nodes[0].Host, size)

	mustFrom := func(r *plainReader, tier block.Tier) func(block.ID) error {
		return func(id block.ID) error {
			from, err := r.read(id)
			if err == nil && from != tier.String() {
				err = fmt.Errorf("served by %s, want %s", from, tier)
			}
			return err
		}
	}
	settle(t, ids, mustFrom(peer, block.Peer))
	settle(t, ids, mustFrom(disk, block.Disk))
	sides := []struct {
		name string
		read func(block.ID) error
		took []float64
	}{
		{name: "l3", read: mustFrom(peer, block.Peer)},
		{name: "l2", read: mustFrom(disk, block.Disk)},
		{name: "tcp", read: func(block.ID) error { return tcp() }},
	}
	for range rounds {
		for _, id := range ids {
			for i := range sides {
				s := &sides[i]
				start := time.Now()
				if err := s.read(id); err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				s.took = append(s.took, time.Since(start).Seconds()*1e3)
			}
		}
	}
	at := func(i int, q float64) float64 { return sides[i].took[int(q*float64(len(sides[i].took)))] }
	for i, s := range sides {
		slices.Sort(s.took)
		figure.Report(t, "zone.read_latency."+s.name+"_p50_ms", at(i, 0.5), "ms")
		figure.Report(t, "zone.read_latency."+s.name+"_p999_ms", at(i, 0.999), "ms")
	}
	figure.Report(t, "zone.read_latency.l3_vs_l2_p50", at(0, 0.5)/at(1, 0.5), "x")
	figure.Report(t, "zone.read_latency.l3_vs_tcp_p50", at(0, 0.5)/at(2, 0.5), "x")
}

// settle reads all blocks until they come from where they are wanted.
func settle(t *testing.T, ids []block.ID, read func(block.ID) error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, id := range ids {
		for err := read(id); err != nil; err = read(id) {
			if time.Now().After(deadline) || !strings.Contains(err.Error(), "served by") {
				t.Fatal(err)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
}
