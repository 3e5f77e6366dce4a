package statuspage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask returns the answer of a page that shows view.
func ask(t *testing.T, path string, view View, err error) (*http.Response, string) {
	t.Helper()
	var h History
	h.Add(began, Counts{})
	handler := New(Options{View: func(context.Context) (View, error) { return view, err }, History: &h, Log: slog.New(slog.DiscardHandler)})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return answer.Result(), answer.Body.String()
}

// full has something of everything, with name for each name that others choose.
func full(name string) View {
	return View{
		Node: name, Listen: "127.0.0.1:7070", Version: name, Now: began.Add(time.Minute), Uptime: time.Hour,
		NotReady: []string{name}, Warnings: []string{name}, Imbalance: name,
		HitRate: 0.75, Errors: 3, OriginReads: 3, Distinct: 2, Demand: served(6, 1, 1, 0),
		Served:  []Served{{Tier: "l1", Cause: "demand", Count: Count{8, 800}, Share: 1}},
		Tiers:   []Tier{{Name: "l1", Used: 1 << 20, Capacity: 4 << 20, LookUps: 4, Hits: 1, Median: 20 * time.Microsecond, P99: 2 * time.Second}, {Name: "l4"}},
		Pinned:  &Pinned{1, 2, 3},
		Origins: []Origin{{URL: name, Problem: name}, {URL: "file:///x"}},
		Zone: &Zone{
			Name: name, Node: name, Epoch: "0123", Distribution: "redirect", Nodes: 2,
			Peers: []Peer{{Name: name, Address: name, Health: "self", Share: 0.5}, {Name: name + "2", Health: "suspect", Problem: name, Wrong: 1}},
			Trees: []Tree{{name, name}},
		},
		Ahead:  Ahead{Used: Count{1, 1 << 20}, Workloads: []Workload{{Image: name, Name: name, Starts: 2, Precision: 0.9, Recall: 0.8, Off: true}}},
		Images: []Image{{Name: name, Count: Count{8, 800}, HitRate: 1, Errors: 1}},
		Preparations: []Preparation{
			{Image: name, Scope: "all", Problem: name, State: Failed, Total: Count{1, 100}, Took: 61 * time.Second},
		},
	}
}

func TestNamesAreText(t *testing.T) {
	for _, hostile := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title><script>`, `--><svg onload=alert(1)>`, "{{.}}\x00\u202e"} {
		for _, path := range []string{"/", "/status/live"} {
			_, doc := ask(t, path, full(hostile), nil)
			_, plain := ask(t, path, full("name"), nil)
			// Whatever the names are, the tags are the same.
			tags := regexp.MustCompile(`<[/!a-zA-Z][^>]*>`)
			text := regexp.MustCompile(`(data-title)="[^"]*"`)
			shape := func(doc string) string {
				return strings.Join(tags.FindAllString(text.ReplaceAllString(doc, "$1"), -1), "\n")
			}
			if shape(doc) != shape(plain) {
				t.Errorf("%s with %q has other tags than with a plain name", path, hostile)
			}
			if n := strings.Count(plain, "name"); n < 15 {
				t.Errorf("only %d names are shown", n)
			}
		}
	}
}

// The policy forbids what a page must not have, and the page has none of it.
func TestPolicy(t *testing.T) {
	for path, kind := range map[string]string{"/": "text/html", "/status/live": "text/html", "/status/page.css": "text/css", "/status/page.js": "text/javascript", "/status/icon.svg": "image/svg+xml"} {
		resp, doc := ask(t, path, full("name"), nil)
		h := resp.Header
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(h.Get("Content-Type"), kind) || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s %v", path, resp.Status, h)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, ":") {
			t.Errorf("%s: %s", path, csp)
		}
		if kind != "text/html" {
			continue
		}
		for _, forbidden := range []string{` style=`, `<style`, `javascript:`, `<script>`, `<base`, `<form`, `<iframe`} {
			if strings.Contains(doc, forbidden) {
				t.Errorf("%s has %s, which the policy forbids", path, forbidden)
			}
		}
		// Links are relative: the page may be behind a proxy that serves it elsewhere.
		for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(doc, -1) {
			if strings.HasPrefix(m[1], "/") || strings.Contains(m[1], "//") {
				t.Errorf("%s: the link %s is not relative", path, m[1])
			}
		}
	}
}

// What a table says where it has no rows is as wide as the table.
func TestEmptyTablesAreAsWideAsTheirHeads(t *testing.T) {
	_, doc := ask(t, "/", View{Zone: &Zone{}}, nil)
	empty := 0
	for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(doc, -1) {
		if none := regexp.MustCompile(`class="none" colspan="(\d+)"`).FindStringSubmatch(table); none != nil {
			empty++
			if columns := strings.Count(table, `scope="col"`); none[1] != strconv.Itoa(columns) {
				t.Errorf("%s columns of %d in %s", none[1], columns, table)
			}
		}
	}
	if empty < 3 {
		t.Errorf("%d tables say that they are empty", empty)
	}
}

func TestFilesAreAskedForOnce(t *testing.T) {
	resp, _ := ask(t, "/status/page.js", View{}, nil)
	req := httptest.NewRequest(http.MethodGet, "/status/page.js", http.NoBody)
	req.Header.Set("If-None-Match", resp.Header.Get("ETag"))
	again := httptest.NewRecorder()
	New(Options{}).ServeHTTP(again, req)
	if again.Code != http.StatusNotModified {
		t.Errorf("%d", again.Code)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	for _, path := range []string{"/status", "/status/", "/status/page.html.tmpl", "/status/../page.go", "/other"} {
		if resp, _ := ask(t, path, View{}, nil); resp.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if resp, doc := ask(t, "/", View{}, errors.New("the books are closed")); resp.StatusCode != http.StatusInternalServerError || !strings.Contains(doc, "the books are closed") {
		t.Errorf("%s %s", resp.Status, doc)
	}
}

// The page of a large zone is no larger than that of a middling one, and shows what
// needs looking at.
func TestTheWorstComesFirst(t *testing.T) {
	v := View{Now: began, Zone: &Zone{Node: "n0500"}}
	for i := range 2000 {
		p := Peer{Name: fmt.Sprintf("n%04d", i), Health: "alive"}
		if i == 1700 {
			p.Problem = "it fell silent"
		}
		v.Zone.Peers = append(v.Zone.Peers, p)
		state := Ready
		if i == 3 {
			state = Preparing
		}
		v.Preparations = append(v.Preparations, Preparation{Image: fmt.Sprintf("p%04d", i), State: state, Began: began.Add(time.Duration(i) * time.Second)})
		v.Images = append(v.Images, Image{Name: fmt.Sprintf("i%04d", i)})
	}
	_, doc := ask(t, "/", v, nil)
	if len(doc) > 200<<10 {
		t.Errorf("%d bytes", len(doc))
	}
	for _, names := range [][]string{{"n0500", "n1700", "n0000", "n0001"}, {"p0003", "p1999", "p1998"}, {"i0000", "i0001"}} {
		at := -1
		for _, name := range names {
			next := strings.Index(doc, "name\">"+name)
			if next <= at {
				t.Errorf("%s is not where it should be in %v", name, names)
			}
			at = next
		}
	}
	if n := strings.Count(doc, "1940 more are not shown here"); n != 3 {
		t.Errorf("%d lists say how much is left out", n)
	}
	if v.Zone.Peers[0].Name != "n0000" {
		t.Error("the view was changed")
	}
}

// Who looks at a zone amid an upgrade sees which nodes are behind.
func TestOtherVersionsAreShown(t *testing.T) {
	v := View{Version: "v2", Now: began, Zone: &Zone{Peers: []Peer{{Name: "new", Version: "v2"}, {Name: "old", Version: "v1"}}}}
	_, doc := ask(t, "/", v, nil)
	if strings.Count(doc, "version v2") != 1 || strings.Count(doc, ", version v1<") != 1 {
		t.Error(doc)
	}
}

func TestTexts(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 2*time.Hour + 5*time.Minute: "2h5m", time.Hour + time.Second: "1h0m1s"} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "–", 17 * time.Microsecond: "17 µs", 1500 * time.Microsecond: "1.5 ms", 250 * time.Millisecond: "250 ms", 1500 * time.Millisecond: "1.5 s"} {
		if got := latency(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
	for f, want := range map[float64]string{-1: "0.00", 0.5: "50.00", 7: "100.00"} {
		if got := width(f); got != want {
			t.Errorf("%v: %s", f, got)
		}
	}
}
