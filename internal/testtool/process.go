package testtool

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 30 * time.Second
	stopWithin  = 10 * time.Second
	poll        = 10 * time.Millisecond
)

// FreePort returns a TCP port of the loopback interface that nobody listened on
// a moment ago. Another process can take it before the caller does; the kernel
// hands such ports out in no fixed order, so that is rare.
func FreePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("testtool: free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A Process is a program that runs beside a test.
type Process struct {
	cmd   *exec.Cmd
	out   *output
	done  chan struct{} // closed once the program has ended and err is set
	err   error
	stop  sync.Once
	grace time.Duration // between SIGTERM and SIGKILL
}

// Start runs cmd in a process group of its own, waits until ready reports true,
// and stops the whole group when the test ends. Ready is polled; its context
// ends when Start gives up, 30 s after the start. The test fails, with what the
// program printed, when the program ends or is not ready by then; its output is
// also logged when the test fails later. Start uses cmd's Stdout and Stderr
// itself; cmd must not come from exec.CommandContext.
func Start(tb testing.TB, cmd *exec.Cmd, ready func(context.Context) bool) *Process {
	tb.Helper()
	p := &Process{cmd: cmd, out: &output{}, done: make(chan struct{}), grace: stopWithin}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	// A grandchild that keeps the pipe open must not keep Wait from returning.
	cmd.WaitDelay = time.Second
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		tb.Fatalf("testtool: start %s: %v", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("output of %s:\n%s", cmd.Path, p.Output())
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !ready(ctx) {
		select {
		case <-p.done:
			tb.Fatalf("testtool: %s ended before it was ready: %v", cmd.Path, p.err)
		case <-ctx.Done():
			tb.Fatalf("testtool: %s was not ready within %s", cmd.Path, readyWithin)
		case <-tick.C:
		}
	}
	// What answered may be another program on the same port.
	select {
	case <-p.done:
		tb.Fatalf("testtool: %s ended while it became ready: %v", cmd.Path, p.err)
	default:
	}
	return p
}

// Stop ends the program and all it started: by SIGTERM, and by SIGKILL when it
// has not gone 10 s later. It returns when the program has ended; stopping
// twice is harmless.
func (p *Process) Stop() {
	p.stop.Do(func() {
		p.Signal(syscall.SIGTERM)
		t := time.NewTimer(p.grace)
		defer t.Stop()
		select {
		case <-p.done:
		case <-t.C:
		}
		p.Kill()
	})
}

// Kill ends the program and all it started by SIGKILL, as a crash would, and
// returns when the program has ended.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Signal sends sig to the program and all it started. Nobody left to receive it
// is no error.
func (p *Process) Signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// Wait returns when the program has ended, with the error of [exec.Cmd.Wait],
// or with ctx's.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Pid returns the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output returns what the program has printed so far, on both streams.
func (p *Process) Output() string { return p.out.String() }

// Listening returns a readiness check that succeeds once addr, "host:port",
// accepts a TCP connection.
func Listening(addr string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}
}

// Answering returns a readiness check that succeeds once a GET of url answers
// with any status.
func Answering(url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		// No connection may outlive the check: tests look for leaked goroutines.
		t := &http.Transport{DisableKeepAlives: true}
		defer t.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	}
}

// output keeps what a program prints; a test reads it while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
