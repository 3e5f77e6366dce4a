package placement_test

import (
	"testing"

	"github.com/zonecache/cached/placement"
)

// All have had the block and have lost it again, each remembers to whom it gave
// it: sent from one to the next they would wait in a circle.

func TestANodeThatLostTheBlockSendsNobodyToItsRecipients(t *testing.T) {
	c := holder(placement.Whole)
	c.ask("a")
	c.done("a")
	c.holding = placement.Expected
	if got := c.ask("r"); got != "wait" {
		t.Errorf("a reader is told %q, want to wait here", got)
	}
	// The owner may: a node that has lost the block asks the owner first.
	o := owner(placement.Whole)
	o.ask("a")
	o.done("a")
	o.holding = placement.Expected
	if got := o.ask("r"); got != "redirect a" {
		t.Errorf("at the owner a reader is told %q", got)
	}
}

func TestWhoAsksAgainIsNoHolderAnyMore(t *testing.T) {
	c := owner(placement.Whole)
	c.ask("a")
	c.done("a")
	c.holding = placement.Expected
	if got := c.ask("a"); got != "wait" {
		t.Errorf("who has lost the block is told %q", got)
	}
	if got := c.ask("b"); got == "redirect a" && len(c.Holders(x)) > 0 {
		t.Errorf("%v still count as holders", c.Holders(x))
	}
}

func TestAnHeirIsNotSentToANodeThatStillReads(t *testing.T) {
	c := owner(placement.Whole)
	c.ask("a")
	c.ask("b")
	if got := c.ask("r"); got != "redirect a" {
		t.Fatalf("a reader is told %q", got)
	}
	if got := c.ask("heir", held); got != "serve" {
		t.Errorf("who wants only what is held is told %q", got)
	}
}

func TestHoldersAreForgottenAfterAWhile(t *testing.T) {
	c := owner(placement.Whole)
	c.ask("a")
	c.done("a")
	if len(c.Holders(x)) != 1 {
		t.Fatal("no holder to forget")
	}
	later := start.Add(placement.DefaultLimits().Idle)
	c.Decide(placement.Request{Ask: placement.Ask{Reader: "r"}, Block: x, Holding: placement.Expected, Role: placement.Owner}, later)
	if h := c.Holders(x); len(h) != 0 {
		t.Errorf("after a while %v still count as holders", h)
	}
}
