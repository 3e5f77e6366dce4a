package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/zonecache/cached/api"
)

// A demoDaemon is `cached serve` in a process of its own, as a user would run it.
type demoDaemon struct {
	cmd    *exec.Cmd
	log    bytes.Buffer // read after exit only
	exited chan error
	client *api.Client
	admin  string // address
}

// startTimeout is how long a daemon may take to answer; it needs well under a second.
const startTimeout = 20 * time.Second

// startDemoDaemon runs binary with the given flags on free ports, and returns when
// it is ready.
func startDemoDaemon(ctx context.Context, binary string, args ...string) (*demoDaemon, error) {
	d, err := execDemoDaemon(binary, args...)
	if err != nil {
		return nil, err
	}
	if err := d.waitUntilReady(ctx); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// execDemoDaemon is startDemoDaemon that does not wait.
func execDemoDaemon(binary string, args ...string) (*demoDaemon, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	d := &demoDaemon{exited: make(chan error, 1), admin: admin}
	d.cmd = exec.Command(binary, append([]string{"serve", "--listen", addr, "--admin", admin}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	// Ctrl-C reaches the demo, which stops the daemon in order.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.exited <- d.cmd.Wait() }()
	if d.client, err = api.NewClient("http://"+addr, api.ClientOptions{}); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

func (d *demoDaemon) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		status, err := d.client.Status(ctx)
		if err == nil && len(status.GetNotReady()) == 0 {
			return nil
		}
		select {
		case err := <-d.exited:
			d.exited <- err
			return fmt.Errorf("the daemon ended at once: %w\n%s", err, d.log.String())
		case <-ctx.Done():
			return fmt.Errorf("the daemon is not ready after %s: %v, %w", startTimeout, status.GetNotReady(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop sends SIGTERM, as an init system would, and waits for the end.
func (d *demoDaemon) stop() error {
	if d.client != nil {
		d.client.Close()
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-d.exited:
		d.exited <- err
		if err != nil {
			return fmt.Errorf("the daemon ended badly: %w\n%s", err, d.log.String())
		}
		return nil
	case <-time.After(startTimeout):
		_ = d.cmd.Process.Kill() // it is gone, or it is killed
		return fmt.Errorf("the daemon did not stop within %s of SIGTERM", startTimeout)
	}
}

// freeAddresses are those that were given out: what is asked for next is another one.
var freeAddresses sync.Map

// freeAddress returns a loopback address nobody listens on.
func freeAddress() (string, error) {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := l.Addr().String()
		l.Close()
		if _, given := freeAddresses.LoadOrStore(addr, true); !given {
			return addr, nil
		}
	}
}
