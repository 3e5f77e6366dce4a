package bench

import (
	_ "embed"
	"html/template"
	"io"
	"math"
	"time"
)

//go:embed report.html.tmpl
var reportPage string

// WriteHTML writes the result as one page that needs nothing but itself: no script, no
// picture, no font of elsewhere. It follows the reader's choice of light or dark.
func (r *Result) WriteHTML(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"ms": ms, "percent": func(f float64) float64 { return 100 * f }, "gb": func(n int64) float64 { return float64(n) / gb },
		"share": func(l Latency) float64 { return float64(l.Count) / float64(max(r.Reads, 1)) },
		"when":  func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	}).Parse(reportPage)
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		*Result
		Charts []chart
	}{r, r.charts()})
}

func (r *Result) charts() []chart {
	list := []chart{r.cdf(), r.hits(), r.originBytes(), r.overTime()}
	if r.Starts != nil {
		list = append([]chart{r.readyOverConcurrency()}, list...)
	}
	return list
}

func (r *Result) cdf() chart {
	c := chart{Title: "Latency by tier", About: "The share of the reads that took at most so long, by who served them.", x: "milliseconds", y: "% of reads", logX: true, top: 100}
	for _, name := range r.TierNames() {
		c.Lines = append(c.Lines, line{name, tierClass(name), cdfPoints(r.Tiers[name]), joined})
	}
	if len(c.Lines) > 1 {
		c.Lines = append(c.Lines, line{"all", "all", cdfPoints(r.All), joined})
	}
	return c
}

func cdfPoints(l Latency) [][2]float64 {
	points := make([][2]float64, len(l.CDF))
	for i, p := range l.CDF {
		points[i] = [2]float64{max(p[0], 1e-3), 100 * p[1]}
	}
	return points
}

// over draws a figure of each interval.
func (r *Result) over(name, class string, of func(Slot) float64) line {
	l := line{Name: name, Class: class}
	for _, s := range r.Series {
		if s.seconds() > 0 {
			l.points = append(l.points, [2]float64{(s.From + s.To) / 2, of(s)})
		}
	}
	return l
}

func (r *Result) hits() chart {
	return chart{
		Title: "Hit rate", About: "The share of the reads in each interval that did not go to the origin.", x: "seconds", y: "%", top: 100,
		Lines: []line{r.over("hit rate", "l1", func(s Slot) float64 {
			if reads, _ := s.sums(); reads == 0 {
				return math.NaN()
			}
			return 100 * s.hitRate()
		})},
	}
}

func (r *Result) originBytes() chart {
	return chart{
		Title: "Bytes", About: "What clients read, and what the daemons read of the origin meanwhile, as their ledgers say.", x: "seconds", y: "MB/s",
		Lines: []line{
			r.over("read by clients", "all", func(s Slot) float64 {
				_, bytes := s.sums()
				return float64(bytes) / s.seconds() / 1e6
			}),
			r.over("read of the origin", "l4", func(s Slot) float64 {
				if s.Origin == nil {
					return math.NaN()
				}
				return float64(s.Origin.Bytes) / s.seconds() / 1e6
			}),
		},
	}
}

func (r *Result) overTime() chart {
	figure := func(of func(Slot) float64) func(Slot) float64 {
		return func(s Slot) float64 {
			if reads, _ := s.sums(); reads == 0 {
				return math.NaN()
			}
			return of(s)
		}
	}
	return chart{
		Title: "Latency over time", About: "Of all reads that ended in each interval.", x: "seconds", y: "milliseconds",
		Lines: []line{
			r.over("p50", "l1", figure(func(s Slot) float64 { return s.P50 })),
			r.over("p99", "l4", figure(func(s Slot) float64 { return s.P99 })),
		},
	}
}

func (r *Result) readyOverConcurrency() chart {
	c := chart{Title: "Time to ready over concurrency", About: "Each dot is a start: how many were at once, and how long until the last of its blocks was there.", x: "starts at once", y: "milliseconds"}
	each := line{Name: "a start", Class: "l1", mark: dots}
	for _, s := range r.Starts.List {
		if !s.Failed {
			each.points = append(each.points, [2]float64{float64(s.Together), s.Took})
		}
	}
	middle := line{Name: "median", Class: "all"}
	for _, row := range r.Starts.ByConcurrency() {
		middle.points = append(middle.points, [2]float64{float64(row.Together), row.P50})
	}
	c.Lines = []line{each, middle}
	return c
}
