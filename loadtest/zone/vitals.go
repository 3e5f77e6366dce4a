package zone

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"
)

// Vitals are what a daemon's process takes of its host.
type Vitals struct {
	CPU      time.Duration // so far
	Resident int64         // bytes
	// Goroutines is how many there are.
	Goroutines int64
}

// clockTick is the unit of times in /proc/PID/stat, the same on all Linux.
const clockTick = 10 * time.Millisecond

// Vitals reads the daemon's vitals.
func (n *Node) Vitals(tb testing.TB) Vitals {
	tb.Helper()
	v, err := readVitals(n.process.Pid())
	if err == nil {
		v.Goroutines, err = n.goroutines()
	}
	if err != nil {
		tb.Fatalf("%s: %v", n.Name, err)
	}
	return v
}

// goroutines asks the daemon how many goroutines it has.
func (n *Node) goroutines() (count int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+adminAddress+"/debug/pprof/goroutine?debug=1", http.NoBody)
	if err != nil {
		return 0, err
	}
	t := n.Transport()
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = fmt.Fscanf(resp.Body, "goroutine profile: total %d", &count)
	return count, err
}

func readVitals(pid int) (v Vitals, err error) {
	doc, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return v, err
	}
	_, rest, _ := bytes.Cut(doc, []byte(") ")) // the name before may contain anything
	fields := bytes.Fields(rest)
	if len(fields) < 22 {
		return v, fmt.Errorf("/proc/%d/stat: %q", pid, doc)
	}
	number := func(i int) (n int64) {
		var bad error
		if n, bad = strconv.ParseInt(string(fields[i]), 10, 64); bad != nil {
			err = bad
		}
		return n
	}
	v.CPU = time.Duration(number(11)+number(12)) * clockTick // utime, stime
	v.Resident = number(21) * int64(os.Getpagesize())
	return v, err
}

// CPU returns what the daemons that run and the store have computed so far.
func (z *Zone) CPU(tb testing.TB) (daemons, store time.Duration) {
	tb.Helper()
	of := func(pid int) time.Duration {
		v, err := readVitals(pid)
		if err != nil {
			tb.Fatal(err)
		}
		return v.CPU
	}
	for _, n := range z.Nodes[:z.running] {
		daemons += of(n.process.Pid())
	}
	return daemons, of(z.Store.process.Pid())
}
