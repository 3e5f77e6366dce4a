package dashboards_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/zonecache/cached/helm/dashboards"
	"github.com/zonecache/cached/helm/dashboards/draw"
	"github.com/zonecache/cached/internal/testtool/browser"
)

// picturesEnv is set by `make pictures` to the directory that they are written into.
const picturesEnv = "CACHED_PICTURES"

// largest is what a picture in the docs may have.
const largest = 200 << 10

var label = regexp.MustCompile(`\{\{(\w+)\}\}`)

// picture asks for the queries of d as Grafana would, and draws what comes.
func picture(p *prometheus, d dashboards.Dashboard, from, to time.Time, step time.Duration, rateInterval, caption string) ([]byte, error) {
	data := draw.Data{From: from, To: to, Step: step, Caption: caption}
	fill := grafana(rateInterval, nil)
	for _, panel := range d.Panels {
		var series []draw.Series
		for _, q := range panel.Queries {
			rows, err := p.queryRange(fill.Replace(q.Expr), from, to, step)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", panel.Title, err)
			}
			for _, r := range rows {
				s := draw.Series{Name: label.ReplaceAllStringFunc(q.Legend, func(l string) string { return r.Metric[label.FindStringSubmatch(l)[1]] })}
				for _, v := range r.Values {
					s.Points = append(s.Points, draw.Point{At: v.at, Value: v.v})
				}
				series = append(series, s)
			}
		}
		if len(series) == 0 {
			return nil, fmt.Errorf("%s: no series", panel.Title)
		}
		data.Panels = append(data.Panels, series)
	}
	return draw.Dashboard(d, data)
}

// checkPictures draws each dashboard of a short run, in which a ratio may have been
// of nothing to nothing.
func checkPictures(t *testing.T, p *prometheus) {
	t.Helper()
	now := time.Now()
	for _, d := range dashboards.All() {
		svg, err := picture(p, d, now.Add(-10*time.Second), now, time.Second, "4s", "")
		if err != nil {
			t.Errorf("%s: %v", d.Name, err)
			continue
		}
		checkSVG(t, d, svg)
	}
}

// checkSVG wants a picture to have the panels of d.
func checkSVG(t *testing.T, d dashboards.Dashboard, svg []byte) {
	t.Helper()
	var want, got []string
	for _, p := range d.Panels {
		want = append(want, p.Title)
	}
	panel := false
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", d.Name, err)
		}
		e, ok := token.(xml.StartElement)
		if ok && e.Name.Local == "title" && panel {
			var title string
			if err := dec.DecodeElement(&title, &e); err != nil {
				t.Fatalf("%s: %v", d.Name, err)
			}
			got = append(got, title)
		}
		if ok {
			panel = e.Name.Local == "g"
		}
	}
	if !slices.Equal(got, want) || len(svg) > largest {
		t.Errorf("%s: %d bytes, panels\n%q, want\n%q", d.Name, len(svg), got, want)
	}
}

// The pictures of the docs are of the dashboards as they are: of their panels and queries.
func TestPicturesAreOfTheDashboards(t *testing.T) {
	for _, d := range dashboards.All() {
		svg, err := os.ReadFile(filepath.Join("../../docs/pictures", d.Name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		checkSVG(t, d, svg)
		if want := "<metadata>" + draw.Digest(d) + "</metadata>"; !bytes.Contains(svg, []byte(want)) {
			t.Errorf("%s: drawn of other queries, want %s", d.Name, want)
		}
		if t.Failed() {
			t.Fatalf("%s.svg is stale: run `make pictures`", d.Name)
		}
	}
}

// TestPictures makes the pictures of the docs: a zone of three hosts under a changing
// load for some minutes, the dashboards as Prometheus has seen it, and the status page
// of a host.
func TestPictures(t *testing.T) {
	dir := os.Getenv(picturesEnv)
	if dir == "" {
		t.Skip("makes the pictures of the docs, for six minutes: `make pictures`")
	}
	const lasts, interval = 6 * time.Minute, 5 * time.Second
	b := browser.Find(t)
	s := newSite(t)
	load := newLoad(t, s)
	targets := s.start(t, 3, "--l1-size", "24MiB", "--l2-size", "160MiB")
	p := startPrometheus(t, interval.String(), targets)
	began := time.Now().Truncate(interval)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	shot := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		if _, err := b.Run(ctx, filepath.Join("testdata", "shots.cjs"), map[string]string{"page": "http://" + targets[0].admin + "/", "dir": dir}); err != nil {
			t.Error(err)
		}
	}
	load.run(ctx, t, targets, shot)
	ended := time.Now().Truncate(interval)
	caption := fmt.Sprintf("Three hosts on one machine for %.0f minutes, scraped every %s: %s", lasts.Minutes(), interval, load)
	for _, d := range dashboards.All() {
		// 20 s is what Grafana makes of $__rate_interval for that scrape interval.
		svg, err := picture(p, d, began, ended, interval, "20s", caption)
		if err != nil {
			t.Fatal(err)
		}
		checkSVG(t, d, svg)
		if n := bytes.Count(svg, []byte(">no data<")); n > 0 {
			t.Errorf("%s: %d panels have no data", d.Name, n)
		}
		if err := os.WriteFile(filepath.Join(dir, d.Name+".svg"), svg, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pictures, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range pictures {
		if info, err := os.Stat(file); err != nil || info.Size() > largest {
			t.Errorf("%s: %d bytes, %v", file, info.Size(), err)
		}
	}
}
