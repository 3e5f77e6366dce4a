package statuspage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

//go:embed page.html.tmpl page.css page.js icon.svg
var files embed.FS

// A page that is asked for every few seconds must stay small in a zone of thousands
// with images without number; the commands show everything.
const (
	maxPeers        = 60
	maxTrees        = 20
	maxWorkloads    = 40
	maxImages       = 60
	maxPreparations = 60
)

// Options are what the page is made from.
type Options struct {
	View    func(context.Context) (View, error)
	History *History
	Log     *slog.Logger
}

type page struct {
	Options
	template *template.Template
}

// New returns the handler of the page, at "/", and of what it loads, below "/status/".
// All links in it are relative: it works behind a proxy that serves it elsewhere.
func New(o Options) http.Handler {
	p := &page{o, template.Must(template.New("page.html.tmpl").Funcs(funcs).ParseFS(files, "page.html.tmpl"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, "page.html.tmpl") })
	mux.HandleFunc("GET /status/live", func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, "live") })
	for name, kind := range map[string]string{"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		mux.Handle("GET /status/"+name, file(name, kind))
	}
	return mux
}

// policy allows the page its own script and style, and to ask for itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// harden sets the headers of every answer.
func harden(h http.Header, kind string) {
	h.Set("Content-Type", kind+"; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func (p *page) serve(w http.ResponseWriter, r *http.Request, name string) {
	view, err := p.View(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var doc bytes.Buffer
	if err := p.template.ExecuteTemplate(&doc, name, p.shown(view)); err != nil {
		p.Log.Error("status page", "error", err)
		http.Error(w, "the page could not be made; the daemon's log says why", http.StatusInternalServerError)
		return
	}
	harden(w.Header(), "text/html")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = doc.WriteTo(w) // who asked has gone
}

// A shown is a View in the order and to the extent of the page.
type shown struct {
	View
	Plot Plot
	More map[string]int // how many of each kind are left out
}

func (p *page) shown(v View) shown {
	s := shown{View: v, More: map[string]int{}}
	s.Plot = newPlot(v.Now, p.History.until(v.Now, v.Demand))
	if v.Zone != nil {
		zone := *v.Zone
		zone.Peers = slices.SortedStableFunc(slices.Values(zone.Peers), func(a, b Peer) int {
			return cmp.Or(cmp.Compare(rank(a, zone.Node), rank(b, zone.Node)), cmp.Compare(a.Name, b.Name))
		})
		zone.Peers, s.More["peers"] = first(zone.Peers, maxPeers)
		zone.Trees, s.More["trees"] = first(zone.Trees, maxTrees)
		s.Zone = &zone
	}
	s.Preparations = slices.SortedStableFunc(slices.Values(v.Preparations), func(a, b Preparation) int {
		return cmp.Or(cmp.Compare(a.State.rank(), b.State.rank()), b.Began.Compare(a.Began))
	})
	s.Preparations, s.More["preparations"] = first(s.Preparations, maxPreparations)
	s.Images, s.More["images"] = first(v.Images, maxImages)
	s.Ahead.Workloads, s.More["workloads"] = first(v.Ahead.Workloads, maxWorkloads)
	return s
}

func first[T any](list []T, n int) (some []T, more int) {
	n = min(n, len(list))
	return list[:n], len(list) - n
}

// rank puts this node first, then those with which something is wrong.
func rank(p Peer, self string) int {
	switch {
	case p.Name == self:
		return 0
	case p.Problem != "" || p.Wrong > 0:
		return 1
	}
	return 2
}

func (s State) rank() int {
	switch s {
	case Preparing:
		return 0
	case Failed:
		return 1
	}
	return 2
}

// file serves what is embedded; it changes with the program only.
func file(name, kind string) http.Handler {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("statuspage: %s is not embedded", name))
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header(), kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}
