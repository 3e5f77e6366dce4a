package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/internal/figure"
)

// No blocktest here: no blocks are handled.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// send sends n bytes from one host to another over so many connections and
// returns the bytes a second between the first and the last to arrive.
func send(t *testing.T, from, to *Host, connections int, n int64) float64 {
	t.Helper()
	l, err := to.Listen(t.Context(), "tcp", to.Address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	start := time.Now()
	errs := make(chan error, 2*connections)
	for range connections {
		out, err := from.Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_, err := io.CopyN(onlyWriter{out}, zeros{}, n/int64(connections))
			errs <- errors.Join(err, out.Close())
		})
		wg.Go(func() {
			_, err := io.Copy(onlyWriter{io.Discard}, in)
			errs <- errors.Join(err, in.Close())
		})
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
}

type onlyWriter struct{ io.Writer }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestProveLinkRate compares what TCP carries with what the links are set to.
func TestProveLinkRate(t *testing.T) {
	lab := New(t)
	rate := 100 * Mbit
	seconds := 0.5
	if figure.Full() {
		seconds = 5
	}
	a, b, c := lab.Host("a", Link{Rate: rate}), lab.Host("b", Link{Rate: rate}), lab.Host("c", Link{Rate: rate})
	n := int64(float64(rate) / 8 * seconds)
	ratio := func(rate Rate, got float64) float64 { return got * 8 / float64(rate) }
	before := b.Traffic(t)
	one := ratio(rate, send(t, a, b, 1, n))
	carried := b.Traffic(t).Since(before)
	if carried.Received < n || carried.Received > n*11/10 {
		t.Errorf("%d bytes arrived, the link counted %d", n, carried.Received)
	}
	figure.Report(t, "netlab.rate_x", one, "x")
	figure.Report(t, "netlab.rate_8_connections_x", ratio(rate, send(t, b, a, 8, n)), "x")
	// Two senders to one receiver: the switch's port is the limit, and it drops.
	var wg sync.WaitGroup
	var both [2]float64
	for i, from := range []*Host{a, c} {
		wg.Go(func() { both[i] = ratio(rate, send(t, from, b, 4, n/2)) })
	}
	wg.Wait()
	figure.Report(t, "netlab.rate_incast_x", 2*min(both[0], both[1]), "x")

	b.SetLink(Link{Rate: rate / 4})
	figure.Report(t, "netlab.rate_slowed_x", ratio(rate/4, send(t, a, b, 4, n/4)), "x")
}

func TestPartition(t *testing.T) {
	lab := New(t)
	var h []*Host
	for i := range 4 {
		h = append(h, lab.Host(fmt.Sprint("h", i), Link{}))
	}
	lab.Partition(h[:2], h[2:])
	reach := func(from, to *Host) bool {
		l, err := to.Listen(t.Context(), "tcp", to.Address(0))
		if err != nil {
			t.Error(err)
			return false
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		c, err := from.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return false
		}
		return c.Close() == nil
	}
	var wg sync.WaitGroup
	for i, from := range h {
		for j, to := range h {
			wg.Go(func() {
				if want := i/2 == j/2; reach(from, to) != want {
					t.Errorf("%d reaches %d: %v", i, j, !want)
				}
			})
		}
	}
	wg.Wait()
	lab.Heal()
	if !reach(h[0], h[3]) || !reach(h[3], h[0]) {
		t.Error("not healed")
	}
}

func TestHostsAreAlone(t *testing.T) {
	home, err := os.Readlink(own)
	if err != nil {
		t.Fatal(err)
	}
	lab := New(t)
	h := lab.Host("h", Link{Rate: 10 * Mbit})
	// It waits for its input's end, since a program that has ended is never ready.
	look := exec.Command("sh", "-c", "cat /proc/self/net/dev; read end")
	input, err := look.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := h.Start(t, look, func(context.Context) bool { return true })
	input.Close()
	_ = p.Wait(t.Context()) // read fails at the end
	if n := strings.Count(p.Output(), ":"); n != 2 || !strings.Contains(p.Output(), device) {
		t.Errorf("a host sees\n%s", p.Output())
	}
	var outside string
	h.Do(t, func() { outside, err = os.Readlink(own) })
	if err != nil || outside == home {
		t.Errorf("on the host: %s, %v", outside, err)
	}
	if now, err := os.Readlink(own); err != nil || now != home {
		t.Errorf("back home: %s, %v, was in %s", now, err, home)
	}
}
