package host

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/zonecache/cached/loadtest/images"
	"github.com/zonecache/cached/prefetch"
)

// recordEnv names the file into which TestRecordStarts writes.
const recordEnv = "HOST_RECORD"

// TestRecordStarts records what starts of real images read, for simulations of hit
// rates: for each start the blocks in the order of their first touch. It is run by
// hand, where the recording in loadtest/hitrate is to be made anew:
//
//	HOST_RECORD=$PWD/loadtest/hitrate/testdata/starts.json go test -v -timeout 1h -run TestRecordStarts ./loadtest/host
func TestRecordStarts(t *testing.T) {
	file := os.Getenv(recordEnv)
	if file == "" {
		t.Skipf("%s names no file to write", recordEnv)
	}
	names := []string{"flask", "node", "pyml"}
	if os.Getenv("HOST_IMAGES") != "" {
		names = imageNames()
	}
	l := newLab(t, learning, names...)
	r := recording{index: map[string]int{}}
	for _, img := range l.images {
		second := images.Need(t, img.Name+":v2")
		l.publish(t, second)
		for i, version := range []images.Built{img, img, second} {
			// Each is the first start of its workload: nothing is read ahead of it.
			workload := fmt.Sprintf("recorded-%d", i)
			l.cold(t)
			_, m := l.lazy(t, l.first, version, workload)
			l.umount(t, m)
			l.awaitTraces(t, version.Ref(), workload, 1)
			r.add(version.Ref(), l.inOrder(t, version.Ref()), l.trace(t, version, workload).Touches, t)
		}
	}
	p, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(p, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A recording is the form that loadtest/hitrate reads.
type recording struct {
	Blocks []recordedBlock `json:"blocks"`
	Starts []recordedStart `json:"starts"`
	index  map[string]int
}

type recordedBlock struct {
	ID   string `json:"id"` // the first 6 bytes
	Size int64  `json:"size"`
}

type recordedStart struct {
	Image  string  `json:"image"`
	Blocks []int   `json:"blocks"` // in the order of their first touch
	After  []int64 `json:"ms"`     // since the start began
}

func (r *recording) add(image string, blocks []shownBlock, touches []prefetch.Touch, t *testing.T) {
	s := recordedStart{Image: image}
	for _, touch := range touches {
		b := blocks[touch.Block]
		at, known := r.index[b.ID]
		if !known {
			at = len(r.Blocks)
			r.index[b.ID] = at
			r.Blocks = append(r.Blocks, recordedBlock{ID: shortID(b.ID), Size: b.Stored})
		}
		s.Blocks = append(s.Blocks, at)
		s.After = append(s.After, touch.After.Milliseconds())
	}
	t.Logf("%s: %d of %d blocks", image, len(s.Blocks), len(blocks))
	r.Starts = append(r.Starts, s)
}

// shortID returns 6 bytes of an id, enough to tell the blocks of a recording apart.
func shortID(id string) string {
	_, hex, found := strings.Cut(id, ":")
	if !found {
		hex = id
	}
	return hex[:12]
}

// inOrder returns the blocks of an image as its manifest has them.
func (l *lab) inOrder(t *testing.T, image string) []shownBlock {
	t.Helper()
	var shown struct {
		Blocks []shownBlock `json:"blocks"`
	}
	if err := json.Unmarshal([]byte(on(t, l.first, l.programs.Command("images", "show", image, "--json"))), &shown); err != nil {
		t.Fatal(err)
	}
	return shown.Blocks
}
