package zone_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/loadtest/zone"
	"github.com/zonecache/cached/prefetch"
)

// A load is what every program of a burst reads, in this order.
type load struct {
	image    string // its name
	workload string // by which daemons know what is read; "": by none
	ids      []block.ID
	bytes    int64 // stored
	file     string
}

// img is the load as if it were a whole image.
func (l load) img() zone.Image { return zone.Image{Blocks: int64(len(l.ids)), Bytes: l.bytes} }

// A shown image is what `cached images show` says of one.
type shown struct {
	ID     string `json:"manifest_id"`
	Blocks []struct {
		ID     string `json:"id"`
		Stored int64  `json:"stored_length"`
	} `json:"blocks"`
}

func show(t *testing.T, n *zone.Node, o zone.Options, image string) shown {
	t.Helper()
	var s shown
	if err := json.Unmarshal([]byte(on(t, n, o.Programs.Command("images", "show", image, "--json"))), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// newLoad makes a load of an image's blocks, given by their indexes.
func newLoad(t *testing.T, s shown, image string, indexes []uint32) load {
	t.Helper()
	l := load{image: image, file: filepath.Join(t.TempDir(), "ids")}
	seen := map[block.ID]bool{}
	var lines bytes.Buffer
	for _, i := range indexes {
		b := s.Blocks[i]
		id, err := block.ParseID(b.ID)
		if err != nil {
			t.Fatal(err)
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		l.ids, l.bytes = append(l.ids, id), l.bytes+b.Stored
		fmt.Fprintln(&lines, id)
	}
	if err := os.WriteFile(l.file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// taught is a load that daemons with the same origin know as what the workload reads.
func taught(t *testing.T, z *zone.Zone, o zone.Options, l load, workload string, s shown, indexes []uint32) load {
	t.Helper()
	id, err := block.ParseID(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	trace := prefetch.Trace{Image: id, Workload: workload, Began: time.Now().UTC().Truncate(time.Millisecond), Blocks: uint32(len(s.Blocks))}
	for _, i := range indexes {
		trace.Touches = append(trace.Touches, prefetch.Touch{Block: i})
	}
	doc, err := json.Marshal(&trace)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trace.json")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	on(t, z.Nodes[0], o.Programs.Command("trace", "import", l.image, file, "--workload", workload, "--origin", z.Origin))
	l.workload = workload
	return l
}

// on runs a command on a node's host to its end and returns what it printed on
// standard output.
func on(t *testing.T, n *zone.Node, cmd *exec.Cmd) string {
	t.Helper()
	out, err := try(t, n, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try is on for what may fail.
func try(t *testing.T, n *zone.Node, cmd *exec.Cmd) (string, error) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	var err error
	n.Host.Do(t, func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, strings.TrimSpace(complaints.String()))
	}
	return out.String(), err
}
