package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/testtool/browser"
)

// TestStatusPageInABrowser looks at the page of a daemon of a zone with Chromium, as
// testdata/browser/status.cjs says, while it serves and prepares.
func TestStatusPageInABrowser(t *testing.T) {
	if figure.Instrumented {
		t.Skip("the page is the same in a build that checks itself: looked at by the plain run")
	}
	b := browser.Find(t)
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 5_000_000)
	publishFile(t, origin, "later:v1", 3_000_000)
	d := threeNodes(t, origin)["a"]
	ids := imageBlocks(t, d, "app")
	var reads []string
	for _, id := range ids {
		reads = append(reads, d.client.URL()+"/blocks/"+id.String()+"?image=app")
	}
	// Whoever reads says what for, and need not say a name of an image.
	const hostile = `<script>hacked=1</script><img src=x onerror=hacked=2>"'&{{.}}`
	get(t, d.client.URL()+"/blocks/"+ids[0].String()+"?image="+url.QueryEscape(hostile))
	get(t, reads[0])

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := b.Run(ctx, filepath.Join("testdata", "browser", "status.cjs"), map[string]any{
		"page": "http://" + d.admin + "/", "daemon": d.client.URL(), "zone": "joined", "blocks": reads[1:], "image": "later:v1", "hostile": hostile,
	})
	looked := 0
	for line := range bytes.Lines(out) {
		var c struct {
			Check, Problem string
			MS             int64
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		looked++
		t.Run(c.Check, func(t *testing.T) {
			if c.Problem != "" {
				t.Error(c.Problem)
			}
			t.Logf("%d ms", c.MS)
		})
	}
	if err != nil || looked == 0 {
		t.Errorf("%d checks: %v", looked, err)
	}
}

// imageBlocks returns the ids of an image's blocks.
func imageBlocks(t *testing.T, d *demoDaemon, name string) (ids []block.ID) {
	t.Helper()
	img, err := openImage(t.Context(), agent.Options{Image: name, Daemon: d.client})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	for _, ref := range img.Manifest().Blocks {
		ids = append(ids, ref.ID)
	}
	return ids
}

func get(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
}
