package placement

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
)

var update = flag.Bool("update", false, "rewrite testdata/ring.golden, which moves the blocks of every zone in existence")

// An upgrade must not move blocks: the whole table of some rings, as a digest, and
// a few assignments to look at, are compared with what they have always been.
func TestRingGolden(t *testing.T) {
	if figure.Instrumented {
		t.Skip("takes too long in a build that checks itself")
	}
	weighted := equals(7)
	for i := range weighted {
		weighted[i].Name = fmt.Sprintf("cache-%d.example", i)
		weighted[i].Weight = []uint32{1, 2, 2, 10, 0, 3, 700}[i]
	}
	var got bytes.Buffer
	for _, ring := range []struct {
		name    string
		members []Member
	}{
		{"1 member", equals(1)},
		{"3 members", equals(3)},
		{"16 members", equals(16)},
		{"7 weighted members", weighted},
		{"1000 members", equals(1000)},
		{"2500 members, where the bound acts", equals(2500)},
	} {
		r := NewRing(ring.members)
		hash := block.NewHash()
		table := bufio.NewWriter(hash)
		for slot := range uint32(slotCount) {
			m, _ := r.Owner(inSlot(slot))
			table.WriteString(m.Name + "\n")
		}
		table.Flush()
		fmt.Fprintf(&got, "%s: epoch %016x, slots %x\n", ring.name, r.Epoch(), hash.Sum(nil)[:16])
		for i := range 5 {
			id := block.Sum([]byte{byte(i)})
			fmt.Fprintf(&got, "  %s", id.Short())
			for _, m := range r.Holders(id, 4) {
				fmt.Fprintf(&got, " %s", m.Name)
			}
			fmt.Fprintln(&got)
		}
	}
	const file = "testdata/ring.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("blocks have moved:\n%s\nwant\n%s", got.String(), strings.TrimSpace(string(want)))
	}
}
