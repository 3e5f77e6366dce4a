package placement

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/internal/figure"
)

func TestTreeOfFew(t *testing.T) {
	tree := NewTree()
	if _, ok := tree.Root(); ok || tree.Height() != 0 || tree.Len() != 0 || tree.Leave("a") != nil {
		t.Fatal("the empty tree is not empty")
	}
	if got := tree.Join("a"); !slices.Equal(got, []Change{{Node: "a"}}) {
		t.Fatalf("the first to join: %v", got)
	}
	if got := tree.Join("a"); got != nil {
		t.Fatalf("joining twice: %v", got)
	}
	for i, want := range []Change{{"b", "a"}, {"c", "a"}, {"d", "b"}, {"e", "b"}, {"f", "c"}} {
		if got := tree.Join(want.Node); !slices.Equal(got, []Change{want}) {
			t.Fatalf("join %d: %v, want %v", i, got, want)
		}
	}
	if got := tree.Children("b"); !slices.Equal(got, []string{"d", "e"}) {
		t.Fatalf("children of b: %v", got)
	}
	for node, want := range map[string]Seat{"a": {}, "b": {"a", 1}, "c": {"a", 1}, "d": {"b", 2}, "f": {"c", 2}} {
		if got, ok := tree.Seat(node); !ok || got != want {
			t.Fatalf("seat of %s: %v, want %v", node, got, want)
		}
	}
	if got, ok := tree.Seat("nobody"); ok {
		t.Fatalf("seat of nobody: %v", got)
	}
	if got := tree.Children("f"); len(got) != 0 || tree.Children("nobody") != nil {
		t.Fatalf("children of a leaf: %v", got)
	}
	if got, want := tree.Leave("b"), []Change{{"f", "a"}, {"d", "f"}, {"e", "f"}}; !slices.Equal(got, want) {
		t.Fatalf("leave of an inner node: %v, want %v", got, want)
	}
	if got, want := tree.Leave("a"), []Change{{"e", ""}, {"f", "e"}, {"c", "e"}}; !slices.Equal(got, want) {
		t.Fatalf("leave of the root: %v, want %v", got, want)
	}
	if got := tree.Leave("d"); got != nil {
		t.Fatalf("leave of the last leaf: %v", got)
	}
	if parent, ok := tree.Parent("d"); ok {
		t.Fatalf("one that has left has the parent %q", parent)
	}
	if root, _ := tree.Root(); root != "e" || tree.Height() != 2 || tree.Check() != nil {
		t.Fatalf("root %s, height %d, %v", root, tree.Height(), tree.Check())
	}
}

// churn makes random joins, leaves and failures of about size nodes and checks
// after each that the tree is balanced, that everybody reaches the root and that
// the changes returned are all there are. It returns how many parents each moved.
func churn(t rapid.TB, steps, size int, seed uint64) []int {
	tree, parents, members := NewTree(), map[string]string{}, []string{}
	src := rand.New(rand.NewPCG(seed, 1))
	moved := make([]int, 0, steps)
	for i := range steps {
		var changes []Change
		if at := src.IntN(2 * size); at < len(members) {
			gone := members[at]
			members = slices.Delete(members, at, at+1)
			delete(parents, gone)
			changes = tree.Leave(gone)
		} else {
			node := fmt.Sprintf("node-%d", i)
			members = append(members, node)
			changes = tree.Join(node)
		}
		for _, c := range changes {
			parents[c.Node] = c.Parent
		}
		moved = append(moved, len(changes))
		if err := tree.Check(); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, i, err)
		}
		if tree.Len() != len(members) || tree.Height() != bits.Len(uint(len(members))) {
			t.Fatalf("seed %d, step %d: %d nodes and height %d for %d members", seed, i, tree.Len(), tree.Height(), len(members))
		}
		for _, node := range members {
			if parent, ok := tree.Parent(node); !ok || parent != parents[node] {
				t.Fatalf("seed %d, step %d: parent of %s is %q, the changes said %q", seed, i, node, parent, parents[node])
			}
		}
	}
	return moved
}

func TestProveTree(t *testing.T) {
	var moved []int
	for _, size := range []int{3, 20, 200} {
		moved = append(moved, churn(t, 10_000, size, uint64(size))...)
	}
	slices.Sort(moved)
	p50, p99, most := moved[len(moved)/2], moved[len(moved)*99/100], moved[len(moved)-1]
	figure.Report(t, "tree.moved_p50", float64(p50), "parents")
	figure.Report(t, "tree.moved_p99", float64(p99), "parents")
	figure.Report(t, "tree.moved_max", float64(most), "parents")
	if most > 3 {
		t.Errorf("one change moved %d parents", most)
	}
}

func TestTreeOfAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		churn(t, rapid.IntRange(1, 60).Draw(t, "steps"), rapid.IntRange(1, 40).Draw(t, "size"), rapid.Uint64().Draw(t, "seed"))
	})
}

// Check sees what it is there to see.
func TestTreeCheck(t *testing.T) {
	for name, spoil := range map[string]func(*Tree){
		"a node twice":            func(t *Tree) { t.nodes[5] = t.nodes[4] },
		"a place too many":        func(t *Tree) { t.place["ghost"] = 1 },
		"a node in a wrong place": func(t *Tree) { t.place["n5"] = 0 },
		"three children":          func(t *Tree) { t.place["n5"] = 2 },
	} {
		tree := NewTree()
		for i := range 6 {
			tree.Join(fmt.Sprintf("n%d", i))
		}
		if err := tree.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(tree)
		if err := tree.Check(); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}

func BenchmarkTreeJoinLeave1000(b *testing.B) {
	tree := NewTree()
	for i := range 1000 {
		tree.Join(fmt.Sprintf("node-%d", i))
	}
	for b.Loop() {
		tree.Leave("node-3")
		tree.Join("node-3")
	}
}
