package block_test

import (
	"testing"

	"github.com/zonecache/cached/block"
)

func raised(u *block.Urgency) bool {
	select {
	case <-u.Raised():
		return true
	default:
		return false
	}
}

func TestUrgency(t *testing.T) {
	var a, b, c block.Urgency
	a.Raises(&b)
	b.Raises(&a) // in a circle
	if raised(&a) || raised(&b) {
		t.Fatal("raised by nobody")
	}
	before := b.Raised()
	a.Raise()
	a.Raise()
	<-before
	if !raised(&a) || !raised(&b) {
		t.Error("not raised")
	}
	a.Raises(&c)
	if !raised(&c) {
		t.Error("what is raised does not raise another")
	}
	var none *block.Urgency
	none.Raise()
	none.Raises(&a)
	a.Raises(none)
	if raised(none) {
		t.Error("nothing is raised")
	}
}
