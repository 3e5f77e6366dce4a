package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cachedAt runs a command at a daemon, and returns what it printed and complained of.
func cachedAt(t *testing.T, d *demoDaemon, command string, args ...string) (out, complaint string, ok bool) {
	t.Helper()
	p, err := exec.Command("cached", append([]string{command, "--server", d.client.URL()}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		complaint = string(exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(p), complaint, err == nil
}

// warm runs `cached warm` at a daemon, and returns its rows by node.
func warm(t *testing.T, d *demoDaemon, args ...string) (rows map[string]warmRow, complaint string, ok bool) {
	t.Helper()
	out, complaint, ok := cachedAt(t, d, "warm", append([]string{"--json"}, args...)...)
	var list []warmRow
	if out != "" {
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	rows = map[string]warmRow{}
	for _, r := range list {
		rows[r.Node] = r
	}
	return rows, complaint, ok
}

// threeNodes starts a zone whose nodes have an L2.
func threeNodes(t *testing.T, origin string) map[string]*demoDaemon {
	t.Helper()
	zone := map[string]*demoDaemon{}
	var seed string
	for _, name := range []string{"a", "b", "c"} {
		more := []string{"--l2-size", "64MiB", "--l2-min-free", "0"}
		if seed != "" {
			more = append(more, "--seed", seed)
		}
		args, gossip := joiner(t, name, origin, more...)
		zone[name] = startTestDaemon(t, args...)
		if seed == "" {
			seed = gossip
		}
	}
	for _, d := range zone {
		eventually(t, "all nodes know each other", func() bool {
			s, err := d.client.Status(t.Context())
			owners := 0
			for _, p := range s.GetZone().GetPeers() {
				if p.GetShare() > 0 {
					owners++
				}
			}
			return err == nil && owners == 3
		})
	}
	return zone
}

func TestWarmBringsAnImageOntoTheNamedNodes(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	publishFile(t, origin, "app", 6_000_000)
	zone := threeNodes(t, origin)
	a := zone["a"]

	rows, complaint, ok := warm(t, a, "app", "--nodes", "all", "--check")
	if ok || len(rows) != 3 || rows["b"].Blocks == 0 || rows["b"].BlocksHeld != 0 || !strings.Contains(complaint, "not all on a, b, c") {
		t.Fatalf("nothing is anywhere: %v %s", rows, complaint)
	}
	rows, complaint, ok = warm(t, a, "app", "--nodes", "b,c,b", "--all")
	all := rows["b"].Blocks
	if !ok || len(rows) != 2 || rows["b"] != (warmRow{"b", "DONE", all, all, rows["b"].Bytes, rows["b"].Bytes, ""}) || rows["c"].BlocksHeld != all {
		t.Fatalf("%v %s", rows, complaint)
	}
	rows, complaint, ok = warm(t, zone["c"], "app", "--nodes", "b,c", "--check")
	if !ok || rows["b"].BlocksHeld != all || rows["c"].BlocksHeld != all {
		t.Errorf("what was warmed is there: %v %s", rows, complaint)
	}
	if rows, complaint, ok = warm(t, a, "app", "--check"); ok || len(rows) != 1 || rows["a"].BlocksHeld >= all || complaint == "" {
		t.Errorf("a has only what it owns: %v %s", rows, complaint)
	}
	// The zone has read the origin once for each block, and a start on b reads nothing
	// from elsewhere.
	reads := uint64(0)
	for _, d := range zone {
		reads += quietBooks(t, d.client).OriginReads
	}
	if reads != all {
		t.Errorf("the origin was read %d times for %d blocks", reads, all)
	}
	if out, err := exec.Command("cached", "read", "app", "--server", zone["b"].client.URL()).Output(); err != nil || len(out) != 6_000_000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	for _, row := range quietBooks(t, zone["b"].client).Rows {
		if row.Cause != "repair" && row.Tier != "l1" && row.Tier != "l2" {
			t.Errorf("a start read %d blocks from %s", row.Blocks, row.Tier)
		}
	}
	out, complaint, ok := cachedAt(t, a, "warm", "app")
	if !ok || !strings.Contains(out, "NODE") || !strings.Contains(out, "DONE") {
		t.Errorf("this node, as a table: %s %s", out, complaint)
	}
}

func TestWarmNamesTheNodesItCannotWarm(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	publishFile(t, origin, "app", 2_000_000)
	zone := threeNodes(t, origin)
	a := zone["a"]
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"unknown nodes": {[]string{"app", "--nodes", "b,d,e"}, `no node "d", "e" here: want some of a, b, c, or all`},
		"no such image": {[]string{"nothing", "--nodes", "all"}, "nothing"},
		"both scopes":   {[]string{"app", "--all", "--essential"}, "none of the others can be"},
	} {
		if rows, complaint, ok := warm(t, a, tt.args...); ok || len(rows) > 0 || !strings.Contains(complaint, tt.says) || strings.Count(complaint, "\n") != 1 {
			t.Errorf("%s: %v %s", name, rows, complaint)
		}
	}
	if err := zone["c"].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-zone["c"].exited
	zone["c"].exited <- nil // it is gone by our will
	rows, complaint, ok := warm(t, a, "app", "--nodes", "b,c")
	if ok || rows["b"].State != "DONE" || rows["c"].State != "FAILED" || rows["c"].Problem == "" || !strings.Contains(complaint, "c failed or did not answer") {
		t.Errorf("c is dead: %v %s", rows, complaint)
	}
}

// An image that is larger than the cache would only push itself out.
func TestWarmRefusesWhatTheCacheCannotHold(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "large", 70_000_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "64MiB", "--l2-min-free", "0")
	_, complaint, ok := warm(t, d, "large")
	if ok || !strings.Contains(complaint, "failed") {
		t.Errorf("%s", complaint)
	}
	if out, _, _ := cachedAt(t, d, "warm", "large"); !strings.Contains(out, "67 MiB are wanted, the cache they would be kept in has 64 MiB") {
		t.Errorf("%s", out)
	}
	if n := quietBooks(t, d.client).OriginReads; n != 0 {
		t.Errorf("%d blocks were read", n)
	}
}
