package tree

import "testing"

func TestNames(t *testing.T) {
	n := newNames()
	n.add(2, 1, "etc")
	n.add(3, 2, "passwd")
	n.add(3, 2, "another-name")
	n.add(4, 9, "orphan")
	for _, c := range []struct {
		node  uint64
		path  string
		first bool
	}{{1, "/", true}, {1, "", false}, {3, "/etc/passwd", true}, {3, "", false}, {4, "/.../orphan", true}, {5, "", false}} {
		if path, first := n.failed(c.node); path != c.path || first != c.first {
			t.Errorf("%d: %q, %v, want %q, %v", c.node, path, first, c.path, c.first)
		}
	}
	n.forget(3, 1)
	if len(n.places) != 4 {
		t.Errorf("%d places while one lookup of two is forgotten", len(n.places))
	}
	n.forget(3, 1)
	n.forget(2, 5) // more than there were
	n.forget(1, 1)
	n.forget(77, 1)
	if len(n.places) != 2 {
		t.Errorf("%d places left, want the root and the orphan", len(n.places))
	}
	n.add(6, 7, "a")
	n.add(7, 6, "b")
	if _, first := n.failed(6); !first {
		t.Error("directories that hold each other have no path")
	}
}
