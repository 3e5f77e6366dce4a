package gossip

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/placement/residency"
)

// holding makes zones whose nodes tell each other what they hold.
func holding(o *Options) *residency.Table {
	o.Residency = residency.New(o.Node, uint64(time.Now().UnixMilli()), time.Now())
	o.Timing.Tell = 20 * time.Millisecond
	return o.Residency
}

// hears waits until all tables say who holds how much of a set.
func hears(t *testing.T, tables []*residency.Table, key residency.Key, want ...string) {
	t.Helper()
	eventually(t, func() string {
		for _, table := range tables {
			var got []string
			for _, h := range table.Holders(key, 0, time.Now()) {
				got = append(got, fmt.Sprint(h.Node, " ", h.Share))
			}
			if !slices.Equal(got, want) {
				return fmt.Sprintf("%s knows %q of set %d, want %q", table.Self(), got, key, want)
			}
		}
		return ""
	})
}

func TestAllHearWhoHoldsWhat(t *testing.T) {
	t.Parallel()
	var tables []*residency.Table
	all := zone(t, 5, func(_ int, o *Options) {
		o.KeyFile, o.Insecure = keyFileOf(t, testKey), false
		tables = append(tables, holding(o))
	})
	now := time.Now()
	tables[1].Set(7, residency.All, now)
	tables[2].Set(7, 10, now)
	hears(t, tables, 7, "n1 250", "n2 10")
	tables[1].Set(7, 0, now)
	tables[2].Retain(func(residency.Key) bool { return false }, now)
	hears(t, tables, 7, "n1 0")
	for i := range residency.MaxEntries { // more than fits into one message
		tables[3].Set(residency.Key(100+i), residency.All, now)
	}
	for i := range residency.MaxEntries {
		hears(t, tables[:3], residency.Key(100+i), "n3 250")
	}
	if s := all[3].Stats(); s.SketchesSent < residency.MaxEntries/newsEntries || s.SketchBytes == 0 || s.SketchesRefused != 0 || s.Unreadable != 0 || s.NoticesKept != 0 {
		t.Errorf("%+v", s)
	}

	// Who comes later hears all of it at once, and what it says of itself counts from then.
	late := options("late", all[0].Address().String())
	late.KeyFile, late.Insecure = keyFileOf(t, testKey), false
	latest := holding(&late)
	latest.Set(7, 20, now)
	came := open(t, late)
	hears(t, append(slices.Clone(tables), latest), 7, "late 20", "n1 0")
	hears(t, []*residency.Table{latest}, 100, "n3 250")

	// Who ends is forgotten, and comes back with what it says then.
	if err := came.Close(); err != nil {
		t.Error(err)
	}
	hears(t, tables, 7, "n1 0")
	again := options("late", all[0].Address().String())
	again.KeyFile, again.Insecure = late.KeyFile, false
	latest = holding(&again)
	latest.Set(7, 30, now)
	open(t, again)
	hears(t, append(slices.Clone(tables), latest), 7, "late 30", "n1 0")
}

// A node whose clock went back is believed, though others know a later run of it.
func TestANodeWhoseClockWentBackIsBelieved(t *testing.T) {
	t.Parallel()
	var tables []*residency.Table
	zone(t, 3, func(i int, o *Options) {
		table := holding(o)
		if o.Timing.Sync = 200 * time.Millisecond; i == 2 {
			table = residency.New(o.Node, 1000, time.Now())
			o.Residency = table
		}
		tables = append(tables, table)
	})
	former := residency.Record{Node: "n2", Start: 5000, Full: 9, Entries: []residency.Entry{{Key: 7, Seq: 9, Share: residency.All}}}
	if got := tables[0].Merge(former, time.Now()); got != residency.Taken {
		t.Fatal(got)
	}
	tables[2].Set(7, 1, time.Now())
	hears(t, tables, 7, "n2 1")
}

func record() residency.Record {
	return residency.Record{Node: "n1", Start: 1 << 40, Full: 300, Age: 5 * time.Second, NewsAge: time.Second, Entries: []residency.Entry{
		{Key: 1, Seq: 300, Share: residency.All}, {Key: 2, Seq: 1, Share: 0}, {Key: 1 << 63, Seq: 301, Share: residency.Gone},
	}}
}

func TestSketchesSurviveTheWire(t *testing.T) {
	want := record()
	b := appendSketch(appendSketch([]byte{sketchFormat}, want), residency.Record{Node: "n2", Start: 1})
	got, err := decodeSketch(b, maxSketch)
	if err != nil || len(got) != 2 || fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", want) || got[1].Node != "n2" {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	// What a later version adds is skipped, beside records and in them.
	more := appendText(b, 99, "more")
	more = appendText(more, tagRecord, string(appendText(appendText(nil, tagNode, "n3"), 77, "new")))
	if got, err := decodeSketch(more, maxSketch); err != nil || len(got) != 3 || got[2].Node != "n3" {
		t.Errorf("a newer node's: %+v, %v", got, err)
	}
	// The largest news fit into a datagram.
	large := residency.Record{Node: strings.Repeat("n", maxName), Start: residency.MaxStart - 1, NewsAge: maxAge * time.Second}
	for i := range newsEntries {
		large.Entries = append(large.Entries, residency.Entry{Key: residency.Key(i), Seq: 1 + uint64(i)*(1<<55), Share: 1})
	}
	if n := len(appendSketch([]byte{sketchFormat}, large)); n > maxSketch {
		t.Errorf("news of %d bytes", n)
	}
}

func TestSketchesThatCannotBeRead(t *testing.T) {
	good := appendSketch([]byte{sketchFormat}, record())
	with := func(change func(*residency.Record)) []byte {
		r := record()
		change(&r)
		return appendSketch([]byte{sketchFormat}, r)
	}
	field := func(tag uint64, value []byte) []byte {
		r := appendText(appendText(nil, tagNode, "n1"), tag, string(value))
		return appendText([]byte{sketchFormat}, tagRecord, string(r))
	}
	for name, b := range map[string][]byte{
		"empty":      {},
		"format":     append([]byte{9}, good[1:]...),
		"cut":        good[:len(good)-1],
		"too long":   appendText(good, 99, strings.Repeat("x", maxSketch)),
		"no name":    with(func(r *residency.Record) { r.Node = "" }),
		"bad name":   with(func(r *residency.Record) { r.Node = "a/b" }),
		"share":      with(func(r *residency.Record) { r.Entries[0].Share = 251 }),
		"no change":  with(func(r *residency.Record) { r.Entries[1].Seq = 0 }),
		"run":        with(func(r *residency.Record) { r.Start = 1 << 62 }),
		"twice":      with(func(r *residency.Record) { r.Entries[1].Key = 1 }),
		"start":      field(tagStart, []byte("text")),
		"no latest":  field(tagEntries, append(binary.LittleEndian.AppendUint64(nil, 1), 1, 1)),
		"half entry": field(tagEntries, []byte("123456789")),
		"many":       field(tagEntries, make([]byte, 20_000)),
	} {
		if got, err := decodeSketch(b, maxSketch); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

// What cannot be read is counted and changes nothing; nor does what is said of
// nodes that the zone has not.
func TestHostileSketchesAreRefused(t *testing.T) {
	t.Parallel()
	o := options("n0")
	table := holding(&o)
	m := open(t, o)
	d := delegate{m}
	d.NotifyMsg([]byte{sketchFormat, 0xff})
	d.MergeRemoteState([]byte{sketchFormat, 0xff}, false)
	d.MergeRemoteState(nil, true)
	d.NotifyMsg(appendSketch([]byte{sketchFormat}, record())) // of nobody
	if s := m.Stats(); s.SketchesRefused != 2 || s.SketchesHeard != 1 || m.sketches.NumQueued() != 0 {
		t.Errorf("%+v", s)
	}
	if nodes, entries := table.Size(); nodes != 0 || entries != 0 {
		t.Errorf("%d nodes, %d entries", nodes, entries)
	}
	bad := options("n1")
	bad.Residency = table
	if m, err := Open(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "residency") {
		t.Errorf("another node's table: %v", err)
		if err == nil {
			m.Close()
		}
	}
}

// However large the zone, what its news take is bounded, and a small one does not wait.
func TestNewsArePaced(t *testing.T) {
	if got := sketchPause(100, 16); got > 2*time.Second {
		t.Errorf("100 bytes among 16 nodes: %v", got)
	}
	const n = 1000
	pause := sketchPause(100, n)
	if inflow := float64(n*100*12) / pause.Seconds(); inflow > sketchInflow*1.01 || inflow < sketchInflow/2 {
		t.Errorf("a node of 1000 hears %.0f B/s", inflow)
	}
}

// TestProveHoldings measures how long it takes until all of a zone know that one
// node holds something now.
func TestProveHoldings(t *testing.T) {
	n, rounds := 4, 2
	if !figure.Full() {
		t.Parallel()
	} else {
		n, rounds = 16, 20
	}
	var tables []*residency.Table
	all := zone(t, n, func(_ int, o *Options) {
		o.KeyFile, o.Insecure, o.Timing = keyFileOf(t, testKey), false, DefaultTiming()
		o.Residency = residency.New(o.Node, 1, time.Now())
		tables = append(tables, o.Residency)
	})
	var took []float64
	for i := range rounds {
		began := time.Now()
		tables[i%n].Set(residency.Key(i+1), residency.All, began)
		hears(t, tables, residency.Key(i+1), fmt.Sprintf("n%d 250", i%n))
		took = append(took, time.Since(began).Seconds())
	}
	var sent uint64
	for _, m := range all {
		sent += m.Stats().SketchBytes
	}
	slices.Sort(took)
	if !figure.Instrumented {
		figure.Report(t, "residency.news_s", took[len(took)/2], "s")
		figure.Report(t, "residency.news_worst_s", took[len(took)-1], "s")
		figure.Report(t, "residency.news_bytes", float64(sent)/float64(rounds), "B")
	}
}

// A state holds what fits, whatever the size of the zone, and is made and read quickly.
func BenchmarkState(b *testing.B) {
	const nodes, entries = 1000, 200
	m := &Membership{opt: Options{Node: "n0", Residency: residency.New("n0", 1, time.Now())}, table: newTable("n0")}
	for i := range nodes {
		r := residency.Record{Node: fmt.Sprintf("n%d", i+1), Start: 1 << 40, Full: entries}
		for k := range entries {
			r.Entries = append(r.Entries, residency.Entry{Key: residency.Key(k), Seq: uint64(k*7%entries + 1), Share: residency.All})
		}
		m.opt.Residency.Merge(r, time.Now())
	}
	size := 0
	for b.Loop() {
		state := m.holdings()
		if _, err := decodeSketch(state, maxState); err != nil {
			b.Fatal(err)
		}
		size = len(state)
	}
	b.ReportMetric(float64(size), "bytes/state")
}

func FuzzSketch(f *testing.F) {
	f.Add(appendSketch([]byte{sketchFormat}, record()))
	f.Add([]byte{sketchFormat, tagRecord, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := decodeSketch(b, maxState)
		if err != nil {
			return
		}
		again := []byte{sketchFormat}
		for _, r := range all {
			again = appendSketch(again, r)
		}
		got, err := decodeSketch(again, 16*maxState)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(all) {
			t.Errorf("%+v is read again as %+v, %v", all, got, err)
		}
	})
}
