package draw

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/helm/dashboards"
)

var began = time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)

// course is a series with a value every ten seconds.
func course(name string, values ...float64) Series {
	s := Series{Name: name}
	for i, v := range values {
		s.Points = append(s.Points, Point{began.Add(time.Duration(i) * 10 * time.Second), v})
	}
	return s
}

// drawn is the picture of a dashboard with one panel, checked to be XML.
func drawn(t *testing.T, p dashboards.Panel, series ...Series) string {
	t.Helper()
	d := dashboards.Dashboard{Name: "d", Title: "T", About: "A", Panels: []dashboards.Panel{p}}
	svg, err := Dashboard(d, Data{From: began, To: began.Add(time.Minute), Step: 10 * time.Second, Panels: [][]Series{series}, Caption: "C"})
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
	if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "%!") {
		t.Errorf("%s", svg)
	}
	return string(svg)
}

func has(t *testing.T, svg string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(svg, part) {
			t.Errorf("no %s in\n%s", part, svg)
		}
	}
}

func TestLines(t *testing.T) {
	nan := math.NaN()
	svg := drawn(t, dashboards.Panel{Title: "P", Kind: dashboards.Lines, Unit: "Bps"}, course("h0 <in>", 0, 1<<20, nan, 3<<20, 2<<20, nan, 1<<20), course("h1", nan, nan))
	has(t, svg, ">A</text>", ">C</text>", ">P</text>", ">h0 &lt;in&gt;</text>", ">3 MiB/s</text>", ">0 B/s</text>", ">10:00:30</text>", "<circle")
	// Three runs between gaps, of which one is a single point; and nothing of what has no value.
	if n := strings.Count(svg, `class="under"`); n != 3 {
		t.Errorf("%d runs", n)
	}
	has(t, drawn(t, dashboards.Panel{Title: "P", Kind: dashboards.Lines}, course("a", nan)), "no data")
	has(t, drawn(t, dashboards.Panel{Title: "P", Kind: dashboards.Lines}), "no data")
}

func TestStack(t *testing.T) {
	list := stacked([]Series{course("l1", 1, 2), course("l2", 10, math.NaN(), 30)})
	for i, want := range [][]float64{{1, 2, 0}, {11, 2, 30}} {
		for k, p := range list[i].Points {
			if p.Value != want[k] {
				t.Errorf("%s at %d: %v, want %v", list[i].Name, k, p.Value, want[k])
			}
		}
	}
	svg := drawn(t, dashboards.Panel{Title: "P", Kind: dashboards.Lines, Unit: "reqps", Stacked: true}, course("l1", 1, 2, 3), course("l4", 1, 1, 1))
	has(t, svg, `class="area"`, tiers["l1"], tiers["l4"], ">4/s</text>")
}

func TestTheIdleComeLast(t *testing.T) {
	list := busiestFirst([]Series{course("idle", 0, math.NaN()), course("a", 0, 1), course("none"), course("b", 2)})
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "a b idle none" {
		t.Error(got)
	}
}

func TestNumber(t *testing.T) {
	has(t, drawn(t, dashboards.Panel{Title: "P", Kind: dashboards.Number, Unit: "percentunit"}, course("x", .5, .987, math.NaN())), ">98.7 %</text>")
}

func TestHeatmap(t *testing.T) {
	// Of the reads of the second point three lie below 1 ms and one between 1 ms and 5 ms.
	svg := drawn(t, dashboards.Panel{Title: "P", Kind: dashboards.Heatmap, Unit: "s"}, course("0.005", 0, 4), course("+Inf", 0, 4), course("0.001", 0, 3))
	has(t, svg, "≤ 1 ms", "≤ 5 ms", "darkest: 3/s in a bucket", `fill-opacity="1.00"`, `fill-opacity="0.61"`)
	if n := strings.Count(svg, `class="heat"`); n != 2 {
		t.Errorf("%d cells", n)
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	d := dashboards.All()[0]
	if _, err := Dashboard(d, Data{From: began, To: began.Add(time.Minute)}); err == nil {
		t.Error("a dashboard without data for its panels")
	}
	if _, err := Dashboard(d, Data{From: began, To: began, Panels: make([][]Series, len(d.Panels))}); err == nil {
		t.Error("a dashboard of no time")
	}
}

func TestLegend(t *testing.T) {
	var many []Series
	for range 40 {
		many = append(many, Series{Name: "a name of a node"})
	}
	rows := legendRows(many, 600)
	shown := 0
	for _, r := range rows {
		for _, e := range r {
			if e.colour != "" {
				shown++
			}
		}
	}
	last := rows[len(rows)-1]
	if len(rows) != maxLegendRows || last[len(last)-1].name != "and "+value(float64(40-shown), "short")+" more" {
		t.Errorf("%d shown, %+v", shown, rows)
	}
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		top  float64
		unit string
		want float64 // the end
	}{{0.97, "percentunit", 1}, {1.3, "percentunit", 1.5}, {17, "reqps", 20}, {0, "short", 1}, {math.Inf(1), "short", 1}, {3 << 20, "Bps", 3 << 20}, {5.5 * (1 << 20), "bytes", 6 << 20}, {0.0042, "s", 0.005}} {
		marks := nice(c.top, c.unit)
		if end := marks[len(marks)-1]; math.Abs(end-c.want) > 1e-9*c.want || len(marks) < 3 || len(marks) > 7 {
			t.Errorf("%v %s: %v, want it to end at %v", c.top, c.unit, marks, c.want)
		}
	}
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{{0.5, "percentunit", "50 %"}, {1536, "bytes", "1.5 KiB"}, {0, "Bps", "0 B/s"}, {0.00025, "s", "250 µs"}, {0.0125, "s", "12.5 ms"}, {2.5, "s", "2.5 s"}, {12_345, "reqps", "12.3 k/s"}, {2, "short", "2"}, {999.6, "short", "1000"}} {
		if got := value(c.v, c.unit); got != c.want {
			t.Errorf("%v %s: %s, want %s", c.v, c.unit, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		lasts  time.Duration
		layout string
	}{{10 * time.Second, "15:04:05"}, {6 * time.Minute, "15:04"}, {24 * time.Hour, "15:04"}} {
		marks, layout := times(began.Add(3*time.Second), began.Add(c.lasts))
		if len(marks) < 2 || len(marks) > 7 || layout != c.layout {
			t.Errorf("%s: %v %s", c.lasts, marks, layout)
		}
	}
}
