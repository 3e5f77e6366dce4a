package testtool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// No blocktest here: blocktest is for packages that handle blocks.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func now(context.Context) bool { return true }

// await polls, because what it waits for happens in another process.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(poll)
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") // a zombie waits only for its parent
}

func TestStartStopsTheWholeGroup(t *testing.T) {
	var child int
	t.Run("a program with a child", func(t *testing.T) {
		p := Start(t, exec.Command("sh", "-c", "sleep 1000 & echo child $!; wait"), now)
		await(t, "the child's pid", func() bool { return strings.HasPrefix(p.Output(), "child ") && strings.HasSuffix(p.Output(), "\n") })
		pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(p.Output(), "child ")))
		if err != nil {
			t.Fatal(err)
		}
		child = pid
		if !alive(child) {
			t.Fatal("the child is not running")
		}
	})
	await(t, "the child ends with the test", func() bool { return !alive(child) })
}

func TestStopKillsWhoIgnoresSIGTERM(t *testing.T) {
	p := Start(t, exec.Command("sh", "-c", "trap '' TERM; echo trapped; while :; do sleep 0.1; done"), now)
	await(t, "the trap is set", func() bool { return strings.Contains(p.Output(), "trapped") })
	p.grace = 100 * time.Millisecond
	p.Stop()
	p.Stop()
	if alive(p.Pid()) {
		t.Fatal("still running")
	}
}

func TestStartReports(t *testing.T) {
	tests := []struct {
		name  string
		cmd   *exec.Cmd
		ready func(context.Context) bool
		want  string
	}{
		{"a program that is not there", exec.Command("/nonexistent/program"), now, "no such file"},
		{"an end before ready", exec.Command("sh", "-c", "echo the reason >&2; exit 3"), func(context.Context) bool { return false }, "exit status 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := record(t, func(tb testing.TB) { Start(tb, tt.cmd, tt.ready) })
			if !r.Failed() || !strings.Contains(r.log(), tt.want) {
				t.Fatalf("failed %v, logged %q, want %q in it", r.Failed(), r.log(), tt.want)
			}
			if strings.Contains(tt.cmd.String(), "reason") && !strings.Contains(r.log(), "the reason\n") {
				t.Fatalf("the program's output is not in %q", r.log())
			}
		})
	}
}

func TestListening(t *testing.T) {
	addr := "127.0.0.1:" + strconv.Itoa(FreePort(t))
	if Listening(addr)(t.Context()) || Answering("http://"+addr)(t.Context()) {
		t.Fatal("ready before anybody listens")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !Listening(addr)(t.Context()) {
		t.Fatal("not ready though somebody listens")
	}
}

func TestWait(t *testing.T) {
	p := Start(t, exec.Command("sleep", "1000"), now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait = %v, want context canceled", err)
	}
	p.Signal(syscall.SIGTERM)
	var exit *exec.ExitError
	if err := p.Wait(t.Context()); !errors.As(err, &exit) {
		t.Fatalf("Wait = %v, want an exit error", err)
	}
	p.Signal(syscall.SIGTERM) // nobody left
}
