package residency

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

var began = time.Unix(1_000_000, 0)

func after(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

// clone is a record whose entries a table may keep.
func clone(r Record) Record {
	r.Entries = slices.Clone(r.Entries)
	return r
}

// said is what a table knows of others, without times.
func said(t *Table) map[string]string {
	all := map[string]string{}
	for node, r := range t.others {
		text := fmt.Sprint(r.start, " ", r.full)
		for _, e := range r.entries {
			text += fmt.Sprint(" ", e.Key, ":", e.Seq, "=", e.Share)
		}
		all[node] = text
	}
	return all
}

// history draws what one node says over some runs: news of single changes, news of
// several, and complete records.
func history(t *rapid.T, node string) (all []Record, last *Table) {
	for start := range rapid.IntRange(1, 2).Draw(t, "runs") {
		last = New(node, uint64(start+1), began)
		var told uint64
		for range rapid.IntRange(0, 12).Draw(t, "changes") {
			key := Key(rapid.IntRange(1, 5).Draw(t, "key"))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				last.Retain(func(k Key) bool { return k != key }, began)
			case 1:
				all = append(all, last.Mine())
			case 2:
				all = append(all, last.News(uint64(start+1), told, 2))
				told = all[len(all)-1].Latest()
			default:
				last.Set(key, Share(rapid.IntRange(0, int(All)).Draw(t, "share")), began)
			}
		}
		all = append(all, last.News(uint64(start+1), told, MaxEntries))
	}
	return all, last
}

// Whatever the order in which records arrive, and however often, all tables are the
// same, and say what the node says.
func TestRecordsInAnyOrderComeToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records, last := history(t, "n1")
		straight := New("n0", 1, began)
		for _, r := range records {
			straight.Merge(clone(r), began)
		}
		shuffled := New("n0", 1, began)
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(records)-1), 0, 2*len(records)).Draw(t, "early") {
			shuffled.Merge(clone(records[i]), began)
		}
		for _, i := range rapid.Permutation(indexes(len(records))).Draw(t, "order") {
			shuffled.Merge(clone(records[i]), began)
		}
		if !reflect.DeepEqual(said(straight), said(shuffled)) {
			t.Fatalf("in order %v\nshuffled %v\nof %v", said(straight), said(shuffled), records)
		}
		for _, r := range records {
			if got := shuffled.Merge(clone(r), began); got != Known {
				t.Fatalf("%v is news again: %v", r, got)
			}
		}
		// What a third one hears from the second one is the same again.
		third := New("n2", 1, began)
		for _, r := range shuffled.Others(began) {
			third.Merge(clone(r), began)
		}
		if !reflect.DeepEqual(said(third), said(shuffled)) {
			t.Fatalf("second %v\nthird %v", said(shuffled), said(third))
		}
		third.Merge(last.Mine(), began)
		for key := Key(1); key <= 5; key++ {
			var want, got []Share
			for _, h := range last.Holders(key, 0, began) {
				want = append(want, h.Share)
			}
			for _, h := range third.Holders(key, 0, began) {
				got = append(got, h.Share)
			}
			if !slices.Equal(want, got) {
				t.Fatalf("set %d: the node says %v, others hear %v", key, want, got)
			}
		}
	})
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestHoldersAreSortedByShare(t *testing.T) {
	table := New("n0", 1, began)
	table.Set(1, 100, began)
	for node, share := range map[string]Share{"n1": 7, "n2": All, "n3": 0, "n4": All, "n5": Gone} {
		table.Merge(Record{Node: node, Start: 1, Full: 1, Entries: []Entry{{Key: 1, Seq: 1, Share: share}}}, after(5))
	}
	table.Merge(Record{Node: "n6", Start: 1, Entries: []Entry{{Key: 2, Seq: 1, Share: All}}}, after(5))
	table.Merge(Record{Node: "n7", Start: 1, Entries: []Entry{{Key: 2, Seq: 1, Share: All - 1}}}, after(5))
	var got []string
	for _, h := range table.Holders(1, 2, after(9)) {
		got = append(got, fmt.Sprint(h.Node, " ", h.Share, " ", h.Age))
	}
	want := []string{"n2 250 4s", "n4 250 4s", "n6 250 4s", "n0 100 9s", "n1 7 4s", "n3 0 4s"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if !table.Says(2) || table.Says(3) || New("n0", 1, began).Says(1) {
		t.Error("who says what")
	}
	if nodes, entries := table.Size(); nodes != 7 || entries != 7 {
		t.Errorf("%d nodes, %d entries", nodes, entries)
	}
	table.Keep(func(node string) bool { return node == "n3" })
	if got := table.Holders(1, 0, after(9)); len(got) != 2 {
		t.Errorf("of two nodes: %v", got)
	}
}

// What a node says again is as young as when it says so, whoever passes it on.
// A host goes by what others hold, not by what it holds itself.
func TestTheMostIsThatOfOthers(t *testing.T) {
	table, other := New("self", 1, began), New("other", 1, began)
	table.Set(1, All, began)
	other.Set(2, 5, began)
	other.Set(3, 9, began)
	other.Set(4, All, began)
	other.Retain(func(k Key) bool { return k != 4 }, began)
	table.Merge(other.Mine(), began)
	for want, keys := range map[Share][]Key{0: {1, 4}, 5: {1, 2}, 9: {3, 2}} {
		if got := table.Most(keys...); got != want {
			t.Errorf("of %v the others hold %d at most, want %d", keys, got, want)
		}
	}
}

func TestAgesGoAlong(t *testing.T) {
	node := New("n1", 1, began)
	node.Set(1, All, began)
	table := New("n0", 1, began)
	age := func(now int) time.Duration { return table.Holders(1, 0, after(now))[0].Age }
	table.Merge(node.News(1, 0, 10), after(10))
	if got := age(30); got != 20*time.Second {
		t.Errorf("heard 20 s ago: %v", got)
	}
	r := node.Mine()
	r.Age = 5 * time.Second
	table.Merge(r, after(40))
	if got := age(40); got != 5*time.Second {
		t.Errorf("said 5 s ago: %v", got)
	}
	other := New("n2", 1, began)
	other.Merge(clone(table.Others(after(50))[0]), after(7)) // by another clock
	if got := other.Holders(1, 0, after(7))[0].Age; got > 15*time.Second || got < 7*time.Second {
		t.Errorf("said 15 s ago: %v", got)
	}
}

// A node whose clock went back between two runs hears of its former self, and is
// believed again.
func TestARunWhoseClockWentBack(t *testing.T) {
	former := New("n1", 100, began)
	former.Set(1, All, began)
	table := New("n0", 1, began)
	table.Merge(former.Mine(), began)
	now := New("n1", 50, began)
	now.Set(1, 0, began)
	if got := table.Merge(now.Mine(), began); got != Known {
		t.Errorf("an earlier run counts: %v", got)
	}
	if got := now.Merge(clone(table.Others(began)[0]), began); got != Mine {
		t.Errorf("it does not notice: %v", got)
	}
	news := now.News(50, now.Mine().Latest(), 10)
	if len(news.Entries) != 1 || table.Merge(news, began) != Taken || table.Holders(1, 0, began)[0].Share != 0 {
		t.Errorf("it is not believed: %v", news)
	}
	if got := now.Merge(now.Mine(), began); got != Known {
		t.Errorf("what it says now surprises it: %v", got)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	node := New("n1", 1, began)
	refused := 0
	for i := range 2 * MaxEntries {
		if !node.Set(Key(i+1), 1, began) {
			refused++
		}
	}
	if refused != MaxEntries {
		t.Errorf("%d sets refused", refused)
	}
	node.Retain(func(k Key) bool { return k > 10 }, began)
	if !node.Set(5000, 1, began) {
		t.Error("what is gone makes no room")
	}
	table := New("n0", 1, began)
	for i := range 3 * MaxEntries {
		table.Merge(Record{Node: "n1", Start: 1, Entries: []Entry{{Key: Key(i + 1), Seq: uint64(i + 1), Share: 1}}}, began)
	}
	if _, n := table.Size(); n != MaxEntries || len(table.Holders(3*MaxEntries, 0, began)) != 1 || len(table.Holders(1, 0, began)) != 0 {
		t.Errorf("%d entries, and not the latest", n)
	}
	if got := table.Merge(Record{Node: "n1", Start: 1, Entries: []Entry{{Key: 1, Seq: 1, Share: 1}}}, began); got != Known {
		t.Errorf("what there is no room for is news: %v", got)
	}
	for i := range MaxNodes {
		table.Merge(Record{Node: fmt.Sprint("m", i), Start: 1, Full: 1}, began)
	}
	if got := table.Merge(Record{Node: "one more", Start: 1, Full: 1}, began); got != Full {
		t.Errorf("a node too many: %v", got)
	}
}

func TestRecordsThatAreRefused(t *testing.T) {
	for name, r := range map[string]Record{
		"run":       {Start: MaxStart},
		"change":    {Full: MaxStart},
		"share":     {Entries: []Entry{{Key: 1, Seq: 1, Share: All + 1}}},
		"no change": {Entries: []Entry{{Key: 1}}},
		"late":      {Entries: []Entry{{Key: 1, Seq: MaxStart}}},
		"twice":     {Entries: []Entry{{Key: 1, Seq: 1}, {Key: 1, Seq: 2}}},
		"many":      {Entries: make([]Entry, MaxEntries+1)},
	} {
		if r.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := (Record{Start: 1, Full: 7, Entries: []Entry{{Key: 1, Seq: 9, Share: Gone}}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestSharesAreHonest(t *testing.T) {
	for _, tt := range []struct {
		held, all uint64
		want      Share
	}{{0, 0, 0}, {0, 9, 0}, {1, 1 << 40, 1}, {1<<40 - 1, 1 << 40, All - 1}, {5, 10, All / 2}, {10, 10, All}, {11, 10, All}} {
		if got := ShareOf(tt.held, tt.all); got != tt.want {
			t.Errorf("%d of %d: %d, want %d", tt.held, tt.all, got, tt.want)
		}
	}
	id := block.Sum(nil)
	keys := []Key{Whole(id), Starts(id), Workload(id, ""), Workload(id, "a"), Whole(block.Sum([]byte{1}))}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 5 {
		t.Error("two sets have one key")
	}
}

// crowd is a table of a zone of so many nodes that each say something of so many
// sets out of a thousand.
func crowd(nodes, entries int) *Table {
	rng := rand.New(rand.NewPCG(1, 2))
	table := New("n0", 1, began)
	for n := range nodes {
		r := Record{Node: fmt.Sprintf("n%d", n+1), Start: 1, Full: uint64(entries)}
		for i, k := range rng.Perm(1000)[:entries] {
			r.Entries = append(r.Entries, Entry{Key: Key(k + 1), Seq: uint64(i + 1), Share: Share(rng.IntN(int(All) + 1))})
		}
		slices.SortFunc(r.Entries, byKey)
		table.Merge(r, began)
	}
	return table
}

func BenchmarkHolders(b *testing.B) {
	table := crowd(1000, 200)
	b.ReportAllocs()
	holders := 0
	for i := 0; b.Loop(); i++ {
		holders += len(table.Holders(Key(i%1000+1), 0, began))
	}
	if holders == 0 {
		b.Fatal("nobody holds anything")
	}
	b.ReportMetric(float64(holders)/float64(b.N), "holders/op")
}

func BenchmarkMergeNews(b *testing.B) {
	table := crowd(1000, 200)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := Record{Node: fmt.Sprintf("n%d", i%1000+1), Start: 1, Entries: []Entry{{Key: Key(i%1000 + 1), Seq: uint64(1000 + i), Share: 1}}}
		if table.Merge(r, began) != Taken {
			b.Fatal("not taken")
		}
	}
}

// A zone of 1000 nodes that say something of 200 sets each takes a few megabytes.
func TestMemoryOfAThousandNodes(t *testing.T) {
	var before, with runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := crowd(1000, 200)
	runtime.GC()
	runtime.ReadMemStats(&with)
	mib := float64(int64(with.HeapAlloc)-int64(before.HeapAlloc)) / (1 << 20)
	if _, n := table.Size(); n != 200_000 {
		t.Errorf("%d entries", n)
	}
	figure.Report(t, "residency.table_mib", mib, "MiB")
	if mib > 16 {
		t.Errorf("%.1f MiB", mib)
	}
}
