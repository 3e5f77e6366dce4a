package zone

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// Vitals are what a daemon's process takes of its host.
type Vitals struct {
	CPU      time.Duration // so far
	Resident int64         // bytes
	// Goroutines is how many there are.
	Goroutines int64
}

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

func readVitals(pid int) (Vitals, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Vitals{}, err
	}
	stat, err := p.Stat()
	return Vitals{CPU: time.Duration(stat.CPUTime() * float64(time.Second)), Resident: int64(stat.ResidentMemory())}, err
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
