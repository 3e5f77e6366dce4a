package placement_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

var (
	start = time.Unix(1_700_000_000, 0)
	x     = block.Sum([]byte("x"))
	y     = block.Sum([]byte("y"))
)

// counter is a desk and what a caller knows, for scripts.
type counter struct {
	*placement.Desk
	holding placement.Holding
	role    placement.Role
	dead    string
}

func (c *counter) ask(reader string, change ...func(*placement.Ask)) string {
	r := placement.Request{
		Ask: placement.Ask{Reader: reader}, Block: x, Holding: c.holding, Role: c.role,
		Alive: func(name string) bool { return name != c.dead },
	}
	for _, f := range change {
		f(&r.Ask)
	}
	d := c.Decide(r, start)
	text := d.Verdict.String()
	if d.To != "" {
		text += " " + d.To
	}
	return text
}

func hops(n uint8) func(*placement.Ask)        { return func(a *placement.Ask) { a.Hops = n } }
func lost(who string) func(*placement.Ask)     { return func(a *placement.Ask) { a.Lost = who } }
func stale(who string) func(*placement.Ask)    { return func(a *placement.Ask) { a.Stale = who } }
func alone(a *placement.Ask)                   { a.Alone = true }
func held(a *placement.Ask)                    { a.Kind = placement.Held }
func owner(h placement.Holding) *counter       { return at(h, placement.Owner) }
func holder(h placement.Holding) *counter      { return at(h, placement.Holder) }
func (c *counter) done(reader string) []string { return c.Ended(x, reader, placement.Delivered, start) }

func at(h placement.Holding, role placement.Role) *counter {
	return &counter{Desk: placement.NewDesk(placement.Limits{}), holding: h, role: role}
}

func want(t *testing.T, got any, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestDeskWhatIsNotHereIsGone(t *testing.T) {
	want(t, holder(placement.None).ask("a"), "gone")
	want(t, owner(placement.None).ask("a"), "wait")
	want(t, owner(placement.None).ask("a", held), "gone")
	want(t, owner(placement.Expected).ask("a", held), "gone")
	want(t, owner(placement.Flowing).ask("a", held), "serve")
	want(t, holder(placement.Flowing).ask("a", held), "gone")
	want(t, holder(placement.Whole).ask("a", held), "serve")
}

func TestDeskBeforeTheFirstByteReadersWaitBehindReaders(t *testing.T) {
	c := owner(placement.Expected)
	want(t, c.ask("a"), "wait")
	want(t, c.ask("b"), "wait")
	want(t, c.ask("a"), "wait") // still the same one
	want(t, c.ask("c"), "redirect a")
	want(t, c.ask("d"), "redirect b")
	want(t, c.ask("e"), "redirect a")
	want(t, c.ask("f", hops(placement.MaxHops)), "wait")
	c.Left(x, "b")
	c.Left(x, "f")
	want(t, c.ask("g"), "wait")
	want(t, c.ask("i"), "redirect a")
	c.dead = "a"
	want(t, c.ask("h"), "wait") // a takes nobody's place any more
	want(t, c.ask("i"), "redirect g")
	want(t, c.ask("i", stale("g")), "wait")
	c.holding = placement.Flowing
	want(t, c.ask("g"), "serve")
	want(t, c.ask("h"), "serve")
	want(t, c.ask("i"), "redirect g")
}

func TestDeskServesFewAndSendsTheOthersToThem(t *testing.T) {
	c := owner(placement.Whole)
	want(t, c.ask("a"), "serve")
	want(t, c.ask("b"), "serve")
	want(t, c.ask("c"), "redirect a")
	want(t, c.ask("d"), "redirect b")
	want(t, c.ask("e"), "redirect a")
	want(t, c.ask("a"), "redirect b") // never to itself
	want(t, c.ask("f", stale("a")), "redirect b")
	want(t, c.ask("g"), "redirect b") // a was dropped
	want(t, c.ask("h", hops(placement.MaxHops)), "serve")
	c.dead = "b"
	want(t, c.ask("i"), "redirect h")
	c.dead = ""
	c.Forget("h")
	want(t, c.ask("k"), "redirect b")
	c.done("a")
	c.done("b")
	want(t, c.ask("l"), "serve")
}

func TestDeskRemembersTheLastGiven(t *testing.T) {
	c := owner(placement.Whole)
	for i := range 20 {
		want(t, c.ask(fmt.Sprint(i)), "serve")
		c.done(fmt.Sprint(i))
	}
	want(t, c.Holders(x), []string{"12", "13", "14", "15", "16", "17", "18", "19"})
	want(t, c.ask("a"), "serve")
	want(t, c.ask("b"), "serve")
	want(t, c.ask("c"), "redirect 14")
}

func TestDeskTotal(t *testing.T) {
	d := placement.NewDesk(placement.Limits{})
	serve := func(id block.ID, reader string) placement.Decision {
		return d.Decide(placement.Request{Ask: placement.Ask{Reader: reader}, Block: id, Holding: placement.Whole}, start)
	}
	for i := range 8 {
		id := block.Sum([]byte{byte(i)})
		want(t, serve(id, "a"), placement.Decision{Verdict: placement.Serve})
	}
	want(t, serve(block.Sum([]byte{0}), "b"), placement.Decision{Verdict: placement.Redirect, To: "a"})
	// A block nobody has from here is served whatever the load is.
	want(t, serve(y, "b"), placement.Decision{Verdict: placement.Serve})
	want(t, serve(y, "c"), placement.Decision{Verdict: placement.Redirect, To: "b"})
	want(t, d.Sends(), 9)
}

func TestDeskSlowNode(t *testing.T) {
	for _, tt := range []struct {
		own, typical uint32
		verdicts     []string
	}{
		{0, 1000, []string{"serve", "serve", "redirect a"}},
		{1000, 0, []string{"serve", "serve", "redirect a"}},
		{800, 1000, []string{"serve", "serve", "redirect a"}},
		{250, 1000, []string{"serve", "redirect a"}},
		{1, 1000, []string{"serve", "redirect a"}},
		{2000, 1000, []string{"serve", "serve", "redirect a"}},
	} {
		c := owner(placement.Whole)
		c.SetRate(tt.own, tt.typical)
		for i, v := range tt.verdicts {
			want(t, c.ask(string(rune('a'+i))), v)
		}
	}
}

func TestDeskOrphans(t *testing.T) {
	c := owner(placement.Whole)
	want(t, c.ask("a"), "serve")
	want(t, c.ask("b"), "serve")
	// Not to a or b: their source may be the orphan. Nor to the dead.
	for _, o := range []string{"o1", "o2", "o3", "o4", "o5"} {
		want(t, c.ask(o, lost("s")), "wait")
	}
	want(t, c.ask("c"), "redirect a")
	want(t, c.done("a"), []string{"o1", "o2", "o3"})
	want(t, c.ask("o1", lost("s")), "redirect a")
	want(t, c.ask("o3", lost("s")), "serve") // the freed place
	want(t, c.ask("o2", lost("s")), "redirect a")
	want(t, c.ask("o6", lost("s")), "redirect a") // known whole
	want(t, c.ask("o7", lost("a")), "wait")       // which says that a is dead
	want(t, c.ask("o4", lost("s")), "wait")
	want(t, c.Ended(x, "b", placement.Broken, start), []string{"o4"})
	want(t, c.ask("o4", lost("s")), "serve")
	want(t, c.ask("o5", lost("s"), hops(placement.MaxHops)), "wait")
	want(t, c.ask("o8", lost("s"), hops(2*placement.MaxHops)), "serve") // not sent on for ever
	want(t, c.ask("n1", lost("s"), alone), "redirect o3")
	c.Left(x, "o5")
	c.Left(x, "o7")
	want(t, c.done("o3"), []string(nil))
}

func TestDeskOrphansWaitOnlyForOwners(t *testing.T) {
	want(t, holder(placement.Expected).ask("o", lost("s")), "gone")
	want(t, holder(placement.Flowing).ask("o", lost("s")), "gone")
	want(t, holder(placement.Whole).ask("o", lost("s")), "serve")
	want(t, owner(placement.None).ask("o", lost("s")), "wait")
	want(t, owner(placement.Flowing).ask("o", lost("s")), "serve")

	// With nobody behind it a reader that has lost a source is like any other.
	want(t, holder(placement.Expected).ask("o", lost("s"), alone), "wait")
	want(t, holder(placement.Flowing).ask("o", lost("s"), alone), "serve")

	// Orphans in line take no waiter's place and nobody is sent behind them.
	c := owner(placement.Expected)
	for i := range 5 {
		want(t, c.ask(fmt.Sprint("o", i), lost("s")), "wait")
	}
	want(t, c.ask("a"), "wait")
	want(t, c.ask("b"), "wait")
	want(t, c.ask("c"), "redirect a")
}

func TestDeskBehind(t *testing.T) {
	c := owner(placement.Expected)
	want(t, c.Behind(x), false)
	c.ask("a")
	want(t, c.Behind(x), true)
	c.holding = placement.Whole
	c.ask("a")
	want(t, c.Behind(x), true)
	c.done("a")
	want(t, c.Behind(x), false)
	want(t, c.Behind(y), false)
}

func TestDeskBlockThatWasHereOnce(t *testing.T) {
	c := owner(placement.Whole)
	c.ask("a")
	c.done("a")
	c.holding = placement.Expected
	want(t, c.ask("b"), "redirect a")
	want(t, c.ask("o", lost("s")), "redirect a")
	want(t, c.ask("a"), "wait")
}

func TestDeskStateIsBounded(t *testing.T) {
	d := placement.NewDesk(placement.Limits{Blocks: 100})
	give := func(i int, now time.Time) {
		id := block.Sum(fmt.Append(nil, i))
		r := placement.Request{Ask: placement.Ask{Reader: "a"}, Block: id, Holding: placement.Whole}
		if got := d.Decide(r, now); got.Verdict != placement.Serve {
			t.Fatalf("block %d: %v", i, got)
		}
		d.Ended(id, "a", placement.Delivered, now)
	}
	known := func(n int) (sum int) {
		for i := range n {
			sum += len(d.Holders(block.Sum(fmt.Append(nil, i))))
		}
		return sum
	}
	for i := range 1000 {
		give(i, start)
	}
	want(t, known(1000), 100)
	for i := range 60 {
		give(i, start.Add(time.Hour))
	}
	want(t, known(1000), 60)
}

// An ask that is redirected, and one that is served with the end of its send.
func BenchmarkDesk(b *testing.B) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("node-%04d", i)
	}
	b.Run("redirect", func(b *testing.B) {
		d := placement.NewDesk(placement.Limits{})
		r := placement.Request{Block: x, Holding: placement.Whole}
		i := 0
		for b.Loop() {
			i++
			r.Reader = names[i%len(names)]
			d.Decide(r, start)
		}
	})
	b.Run("serve", func(b *testing.B) {
		d := placement.NewDesk(placement.Limits{})
		r := placement.Request{Block: x, Holding: placement.Whole}
		i := 0
		for b.Loop() {
			i++
			r.Reader = names[i%len(names)]
			d.Decide(r, start)
			d.Ended(x, r.Reader, placement.Delivered, start)
		}
	})
}

func TestOnTheWire(t *testing.T) {
	for rate, places := range map[uint32]int{0: 4, 1: 4, 25: 4, 100: 4, 400: 4, 700: 6, 1000: 8, 10_000: 8} {
		want(t, placement.OnTheWire(rate), places)
	}
}
