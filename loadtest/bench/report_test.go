package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/block"
)

// measured is a result of starts with all there is to show.
func measured(t *testing.T) *Result {
	t.Helper()
	d := newDaemon(t, 8, api.EncodingRaw)
	o := d.options()
	o.Images[0].Name, o.Images[0].Workload = `<script>"a" & 'b'`, "serve"
	o.Unit, o.Process = Starts, process(t, "bursts:1,2,4@120ms")
	r := mustRun(t, o)
	d.now(func() { d.tier = block.Origin })
	again := mustRun(t, o)
	r.Tiers["l4"] = again.Tiers["l4"]
	r.Command = `cached bench --image '<b>&'`
	return r
}

// The page is well-formed and names nothing outside of itself: no address, no script.
func TestHTMLStandsAlone(t *testing.T) {
	r := measured(t)
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(page.Bytes()))
	d.Entity = xml.HTMLEntity
	elements, style := map[string]int{}, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			elements[e.Name.Local]++
			style = e.Name.Local == "style"
			for _, a := range e.Attr {
				switch a.Name.Local {
				case "href", "src", "srcset", "data", "action", "background", "poster", "style", "xmlns":
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
				if strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Value, "://") || strings.Contains(a.Value, "NaN") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			if style && (bytes.Contains(e, []byte("url(")) || bytes.Contains(e, []byte("@import"))) {
				t.Error("the style sheet refers to something")
			}
		}
	}
	for _, banned := range []string{"script", "link", "img", "iframe", "object", "embed", "base", "font"} {
		if elements[banned] > 0 {
			t.Errorf("%d <%s>", elements[banned], banned)
		}
	}
	if elements["svg"] != 5 || elements["circle"] != 7 || elements["path"] < 5 {
		t.Errorf("%v: five charts and seven starts should be drawn", elements)
	}
	for _, want := range []string{"prefers-color-scheme: dark", "Time to ready over concurrency", "bursts:1,2,4@120ms", "&lt;script&gt;"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestHTMLOfNothing(t *testing.T) {
	var page bytes.Buffer
	if err := (&Result{Tiers: map[string]Latency{}}).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "NaN") || strings.Contains(page.String(), "Inf") {
		t.Error("numbers that are none are drawn")
	}
}

func TestResultsAreReadBack(t *testing.T) {
	r := measured(t)
	var first, second bytes.Buffer
	if err := r.WriteJSON(&first); err != nil {
		t.Fatal(err)
	}
	again, err := ReadJSON(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.WriteJSON(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("written again it is another: %v", err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"format": 99}`, first.String()[:first.Len()/2]} {
		if _, err := ReadJSON(strings.NewReader(bad)); err == nil {
			t.Errorf("%.20q is a result", bad)
		}
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "4 at once") {
		t.Errorf("%v\n%s", err, text.String())
	}
	var table bytes.Buffer
	if err := r.WriteCSV(&table); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(rows) != len(r.Series)+1 {
		t.Errorf("%d rows of %d intervals: %v", len(rows), len(r.Series), err)
	}
}

func TestTicks(t *testing.T) {
	for _, tt := range []struct{ low, high float64 }{{0, 1}, {0, 0.0003}, {0, 123456}, {5, 6}, {0, 1e12}} {
		all := ticks(tt.low, tt.high)
		if len(all) < 2 || len(all) > 8 || all[0] < tt.low || all[len(all)-1] > tt.high*1.001 || math.IsNaN(all[0]) {
			t.Errorf("%g to %g: %v", tt.low, tt.high, all)
		}
	}
}
