package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/mount"
)

// The kernel makes several reads of one of a program, and nobody can serve any: the
// program hears of it after the deadline, and not after as many of them.
func TestAReadOfAMountTakesOneDeadline(t *testing.T) {
	m := startMountTest(t)
	const deadline = 5 * time.Second
	dirs := map[mount.Kind]string{}
	for _, kind := range []mount.Kind{mount.Auto, mount.Loop, mount.Tree} {
		dirs[kind], _ = m.mount("--as", string(kind), "--deadline", deadline.String(), "--window", "1MiB")
		if out, err := exec.Command("ls", "-lR", dirs[kind]).CombinedOutput(); err != nil {
			t.Fatalf("ls: %v\n%s", err, out)
		}
	}
	if err := m.daemon.stop(); err != nil {
		t.Fatal(err)
	}
	var reads sync.WaitGroup
	for kind, dir := range dirs {
		reads.Go(func() {
			late := time.After(deadline * 3 / 2)
			read := make(chan struct{})
			go func() {
				defer close(read)
				out, err := exec.Command("cat", filepath.Join(dir, "d3/f39")).CombinedOutput()
				if err == nil || !strings.Contains(string(out), "Input/output error") {
					t.Errorf("%s: %v\n%.300s", kind, err, out)
				}
			}()
			select {
			case <-read:
			case <-late:
				t.Errorf("%s: a read takes longer than its deadline of %s\n%s", kind, deadline, m.log())
				<-read
			}
		})
	}
	reads.Wait()
}
