package zone

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/testtool"
	"github.com/zonecache/cached/loadtest/zone/report"
)

// An Agent reads the image on one node.
type Agent struct {
	Node    *Node
	process *testtool.Process
	input   io.WriteCloser
}

// Agent starts an agent with further flags; it waits for Go.
func (n *Node) Agent(tb testing.TB, flags ...string) *Agent {
	tb.Helper()
	cmd := exec.Command(n.zone.options.Programs.agent(), append([]string{"-server", "http://" + rpcAddress, "-image", ImageName}, flags...)...)
	cmd.Env = environ()
	input, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	a := &Agent{Node: n, input: input}
	a.process = n.Host.Start(tb, cmd, func(context.Context) bool { return true })
	return a
}

// Agents starts an agent on each node; all wait for Go.
func Agents(tb testing.TB, nodes []*Node, flags ...string) []*Agent {
	tb.Helper()
	agents := make([]*Agent, len(nodes))
	for i, n := range nodes {
		agents[i] = n.Agent(tb, flags...)
	}
	return agents
}

// Go lets all agents start at once.
func Go(tb testing.TB, agents []*Agent) {
	tb.Helper()
	for _, a := range agents {
		await(tb, "agent on "+a.Node.Name, 30*time.Second, func() error {
			if !strings.Contains(a.process.Output(), "ready\n") {
				return fmt.Errorf("not ready: %s", a.process.Output())
			}
			return nil
		})
	}
	for _, a := range agents {
		if _, err := io.WriteString(a.input, "go\n"); err != nil {
			tb.Fatalf("agent on %s: %v\n%s", a.Node.Name, err, a.process.Output())
		}
	}
}

// Kill ends the agent; it reports nothing.
func (a *Agent) Kill() {
	a.process.Kill()
	a.input.Close()
}

// End lets an agent that loops come to its end.
func (a *Agent) End() { a.input.Close() }

// Report waits for the agent's report.
func (a *Agent) Report(tb testing.TB) report.Report {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	err := a.process.Wait(ctx)
	a.input.Close()
	_, text, found := strings.Cut(a.process.Output(), "result ")
	var r report.Report
	if err != nil || !found {
		tb.Fatalf("agent on %s: %v\n%s", a.Node.Name, err, a.process.Output())
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		tb.Fatalf("agent on %s: %v in %s", a.Node.Name, err, text)
	}
	return r
}

// Reports waits for the reports of all agents.
func Reports(tb testing.TB, agents []*Agent) []report.Report {
	tb.Helper()
	reports := make([]report.Report, len(agents))
	for i, a := range agents {
		reports[i] = a.Report(tb)
	}
	return reports
}

// Burst lets all nodes read the whole image at the same moment.
func (z *Zone) Burst(tb testing.TB, flags ...string) []report.Report {
	tb.Helper()
	agents := Agents(tb, z.Nodes, flags...)
	Go(tb, agents)
	return Reports(tb, agents)
}
