package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/internal/figure"
	"github.com/zonecache/cached/internal/rate"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/placement/residency"
)

// where runs `cached images where` at a daemon.
func where(t *testing.T, d *demoDaemon, args ...string) (r whereReport, out string, ok bool) {
	t.Helper()
	p, err := exec.Command("cached", append([]string{"images", "where", "--json", "--server", d.client.URL()}, args...)...).Output()
	out = string(p)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		out += string(exit.Stderr)
	}
	_ = json.NewDecoder(strings.NewReader(string(p))).Decode(&r)
	return r, out, err == nil
}

// holdsOf waits until a daemon says this of who holds what starts of serve need.
func holdsOf(t *testing.T, d *demoDaemon, basis string, want ...string) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("it says %s", last)
		}
	}()
	eventually(t, fmt.Sprintf("%s %q", basis, want), func() bool {
		r, out, ok := where(t, d, "app", "--workload", "serve", "--all")
		var got []string
		for _, n := range r.Nodes {
			share := "?"
			if n.Share != nil {
				share = fmt.Sprint(*n.Share)
			}
			got = append(got, n.Node+" "+share)
		}
		last = out
		return ok && r.Basis == basis && slices.Equal(got, want)
	})
}

// A host says what a start has left on it, and the others know it; after a restart
// it is what is on the disk.
func TestTheZoneKnowsWhoHoldsWhatStartsNeed(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	const size = 20_000_000
	want := publishFile(t, origin, "app", size)
	args, seed := joiner(t, "a", origin)
	disk := append(slices.Clone(args), "--l2-size", "64MiB", "--l2-min-free", "0", "--l2-admit", "always")
	a := startTestDaemon(t, disk...)
	other, back := joiner(t, "b", origin, "--weight", "0", "--seed", seed)
	b := startTestDaemon(t, other...)
	holdsOf(t, b, "image", "b 0", "a ?")

	newReading("serve", 1, size, 20).start(t, a, "app", want, atOnce)
	holdsOf(t, b, "workload", "a 1", "b 0")
	holdsOf(t, a, "workload", "a 1", "b ?")
	r, out, ok := where(t, b, "app", "--workload", "serve", "--top", "1")
	if !ok || len(r.Nodes) != 1 || r.Nodes[0].Address == "" || r.Blocks == 0 || r.Blocks > 40 || r.Bytes == 0 || r.Unknown != 0 {
		t.Errorf("the first one: %s", out)
	}
	if r, out, ok := where(t, b, "app", "--workload", "migrate"); !ok || r.Basis != "starts" {
		t.Errorf("a workload that never started: %s", out)
	}

	stop := func(d *demoDaemon) {
		t.Helper()
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
	}
	stop(a)
	holdsOf(t, b, "workload", "b 0") // who has left is not among them
	a = startTestDaemon(t, append(slices.Clone(disk), "--seed", back)...)
	holdsOf(t, b, "workload", "a 1", "b 0")
	stop(a)
	startTestDaemon(t, append(slices.Clone(args), "--seed", back)...) // without its disk
	holdsOf(t, b, "workload", "a 0", "b 0")
	for _, m := range []string{`cached_residency_messages_total{event="refused"} 0`, "cached_residency_nodes ", "cached_residency_bytes_total "} {
		if page := adminPage(t, b, "/metrics"); !strings.Contains(page, m) {
			t.Errorf("the metrics lack %s", m)
		}
	}
}

func TestAHostAloneAnswersForItself(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 5_000_000)
	d := startTestDaemon(t, "--data-dir", filepath.Join(dir, "data"), "--origin", "file://"+origin, "--l2-size", "0", "--node", "me")
	holdsOf(t, d, "image", "me 0")
	if _, out, ok := prepare(t, d, "app"); !ok {
		t.Fatal(out)
	}
	holdsOf(t, d, "image", "me 1")
	text, err := exec.Command("cached", "images", "where", "app", "--server", d.client.URL()).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "me    100.0 %") || !strings.Contains(string(text), "no start of it was recorded") {
		t.Errorf("%s, %v", text, err)
	}
	// Over plain HTTP, as schedulers ask that have no client of ours; it may be a GET.
	query := url.Values{"encoding": {"json"}, "connect": {"v1"}, "message": {`{"image":"app"}`}}
	resp, err := http.Get(d.client.URL() + "/cached.v1.ImageService/GetResidency?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(strings.ReplaceAll(string(p), " ", ""), `"node":"me","share":1`) {
		t.Errorf("%s: %s, %v", resp.Status, p, err)
	}
	for image, says := range map[string]string{"nothing": "nothing", "a/b": "image name", "": "image is missing"} {
		if _, out, ok := where(t, d, image); ok || !strings.Contains(out, says) || strings.Count(strings.TrimSpace(out), "\n") > 0 {
			t.Errorf("%q: %s", image, out)
		}
	}
}

func TestWhoHoldsAnImageIsForThoseWhoMayReadIt(t *testing.T) {
	g := startGuarded(t, plainText)
	publishFile(t, g.origin, "shop-app", 100_000)
	ask := func(token, image string) error {
		client, err := api.NewClient("http://"+g.address, api.ClientOptions{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = client.GetResidency(t.Context(), &cachedv1.GetResidencyRequest{Image: image})
		return err
	}
	if err := ask("shop", "shop-app"); err != nil {
		t.Error(err)
	}
	for _, image := range []string{"shop-app", "shop-nothing"} {
		if err := ask("bank", image); !errors.Is(err, block.ErrDenied) {
			t.Errorf("another tenant asks for %s: %v", image, err)
		}
	}
}

// Which images a host has to do with is a file; one that is damaged is none.
func TestResidentsOutliveTheDaemon(t *testing.T) {
	f := residentsFile{filepath.Join(t.TempDir(), "residents.json"), slog.New(slog.DiscardHandler)}
	var all []resident
	for i := range maxResidents + 3 {
		all = append(all, resident{manifest: block.Sum(fmt.Append(nil, i)), name: fmt.Sprint("i", i), workloads: []string{"", "a b"}})
	}
	f.save(all)
	got := f.load()
	if len(got) != maxResidents || fmt.Sprint(got[0]) != fmt.Sprint(all[3]) {
		t.Errorf("%d images, the first %v", len(got), got[0])
	}
	for _, text := range []string{"", "{", `[{"manifest_id":"x"},{"manifest_id":"` + all[0].manifest.String() + `","name":"a/b"}]`} {
		if err := os.WriteFile(f.name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := f.load(); len(got) != 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestProveResidency measures how long a scheduler waits for the answer in a zone of
// 1000 nodes that say something of 200 images each, over Connect with JSON.
func TestProveResidency(t *testing.T) {
	nodes, asks := 100, 200
	if figure.Full() {
		nodes, asks = 1000, 5000
	}
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 20_000_000)
	cfg := Default()
	cfg.DataDir, cfg.L1.Size, cfg.L2.Size, cfg.Origins = filepath.Join(dir, "data"), 64<<20, 0, []string{"file://" + origin}
	cfg.Zone.Name, cfg.Zone.Node, cfg.Zone.Insecure = "big", "n0", true
	cfg.complete()
	if err := prepareDirs(cfg); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	n, err := wire(context.Background(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	port, admin := rate.Listen(t), rate.Listen(t)
	d, err := newDaemon(cfg, n, log, port.Addr().String(), admin.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d.serveAdmin(admin)
	d.serve(port)
	t.Cleanup(func() {
		if err := errors.Join(d.drain(10*time.Second), n.close()); err != nil {
			t.Error(err)
		}
		<-d.failed
		<-d.failed
	})

	e, err := n.catalog.Open(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	members := []placement.Member{{Name: "n0", Weight: 1}}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		members = append(members, placement.Member{Name: name, Address: "10.0.0.1:7072", Weight: 1})
		r := residency.Record{Node: name, Start: 1, Full: 200, Entries: []residency.Entry{{Key: residency.Whole(e.Ref.Manifest), Seq: 200, Share: residency.Share(i % 250)}}}
		for k := range 199 {
			r.Entries = append(r.Entries, residency.Entry{Key: residency.Whole(block.Sum(fmt.Append(nil, k))), Seq: uint64(k + 1), Share: residency.All})
		}
		slices.SortFunc(r.Entries, func(a, b residency.Entry) int {
			if a.Key < b.Key {
				return -1
			}
			return 1
		})
		if n.residents.table.Merge(r, time.Now()) != residency.Taken {
			t.Fatal("not taken")
		}
	}
	n.zone.ring.Store(placement.NewRing(members))

	for _, tt := range []struct {
		name  string
		limit uint32
		want  int
	}{{"all", 0, nodes + 1}, {"top10", 10, 10}} {
		client := connect(t, port.Addr().String())
		var took []float64
		for range asks {
			began := time.Now()
			resp, err := client.GetResidency(t.Context(), &cachedv1.GetResidencyRequest{Image: "app", Limit: tt.limit})
			took = append(took, float64(time.Since(began).Microseconds())/1000)
			if err != nil || len(resp.GetNodes()) != tt.want || resp.GetNodes()[0].GetShare() < 0.3 {
				t.Fatalf("%d nodes, %v", len(resp.GetNodes()), err)
			}
		}
		slices.Sort(took)
		if !figure.Instrumented {
			figure.Report(t, "residency."+tt.name+"_p50_ms", took[len(took)/2], "ms")
			figure.Report(t, "residency."+tt.name+"_p99_ms", took[len(took)*99/100], "ms")
		}
	}
}
