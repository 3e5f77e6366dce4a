package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	rpc "connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
)

// aheadOfAll returns how many blocks the daemon has begun to read ahead of images,
// whatever came of them.
func aheadOfAll(r statsReport) aheadCount {
	p := r.Prefetch
	return aheadCount{
		p.Used.Blocks + p.Late.Blocks + p.Wasted.Blocks + p.Pending.Blocks, p.Used.Bytes + p.Late.Bytes + p.Wasted.Bytes + p.Pending.Bytes,
	}
}

// rowsOf sums the rows of a cause, and of a tier unless that is "".
func rowsOf(r statsReport, cause, tier string) (n aheadCount) {
	for _, row := range r.Rows {
		if row.Cause == cause && (tier == "" || row.Tier == tier) {
			n.Blocks += row.Blocks
			n.Bytes += row.Bytes
		}
	}
	return n
}

// Whatever way a program reads an image that nobody has here, each byte that was read
// ahead of it is booked once and as used, and no read of it as a hit. The next program
// has nothing but hits.
func TestAFirstReadOfAnImageHasNoHitsAndWastesNothing(t *testing.T) {
	dir := t.TempDir()
	origin := filepath.Join(dir, "origin")
	publishFile(t, origin, "app", 40_000_000)
	type readBlock func(t *testing.T, d *demoDaemon, id block.ID)
	byURL := func(before, after string) readBlock {
		return func(t *testing.T, d *demoDaemon, id block.ID) {
			resp, err := http.Get(d.client.URL() + before + id.String() + after)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s, %v", id, resp.Status, err)
			}
		}
	}
	byRPC := func(protocol ...rpc.ClientOption) readBlock {
		client := over2(t)
		return func(t *testing.T, d *demoDaemon, id block.ID) {
			_, err := cachedv1connect.NewBlockServiceClient(client, d.client.URL(), protocol...).
				ReadBlock(t.Context(), &cachedv1.ReadBlockRequest{Id: id.String(), Context: &cachedv1.CallContext{Image: "app"}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, read := range map[string]readBlock{
		"cached read": nil,
		"http":        byURL("/blocks/", "?image=app"),
		"raw":         byURL("/cached.v1.BlockService/ReadBlock?encoding=raw&image=app&id=", ""),
		"connect":     byRPC(),
		"grpc":        byRPC(rpc.WithGRPC()),
		"grpc-web":    byRPC(rpc.WithGRPCWeb()),
	} {
		t.Run(name, func(t *testing.T) {
			d := startTestDaemon(t, "--data-dir", t.TempDir(), "--origin", "file://"+origin, "--l2-size", "0", "--l1-size", "128MiB")
			start := func() {
				if read == nil {
					if out, err := exec.Command("cached", "read", "app", "--server", d.client.URL(), "--output", os.DevNull).CombinedOutput(); err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
					return
				}
				opened, err := d.client.OpenImage(t.Context(), &cachedv1.OpenImageRequest{Image: "app", ReadAhead: cachedv1.ReadAhead_READ_AHEAD_IMAGE})
				if err != nil {
					t.Fatal(err)
				}
				for _, ref := range opened.GetManifest().GetBlocks() {
					read(t, d, block.ID(ref.GetId()))
				}
				if err := d.client.CloseSession(t.Context(), opened.GetSessionId()); err != nil {
					t.Fatal(err)
				}
			}
			start()
			cold := quietBooks(t, d.client)
			if ahead := rowsOf(cold, "prefetch", ""); aheadOfAll(cold) != ahead || ahead.Blocks == 0 {
				t.Errorf("%+v were read ahead, and %+v came of it", ahead, cold.Prefetch)
			}
			if cold.Prefetch.Wasted.Blocks+cold.Prefetch.Pending.Blocks != 0 {
				t.Errorf("all was asked for: %+v", cold.Prefetch)
			}
			waited := rowsOf(cold, "demand", "l4")
			if cold.HitRate != 0 || cold.ByteHitRate != 0 || cold.Images[0].HitRate != 0 || cold.Images[0].Ahead+waited.Blocks != cold.Demand.Blocks || cold.OriginReads != cold.Distinct {
				t.Errorf("hit rate %v, %v prefetched, %v waited for the origin: %+v", cold.HitRate, cold.Prefetched, waited, cold.Images[0])
			}
			start()
			warm := quietBooks(t, d.client)
			if warm.Demand.Blocks != 2*cold.Demand.Blocks || warm.HitRate != 0.5 || warm.Images[0].Ahead != cold.Images[0].Ahead || warm.OriginReads != cold.OriginReads {
				t.Errorf("the second time: hit rate %v of %+v, %+v", warm.HitRate, warm.Demand, warm.Images[0])
			}
			if aheadOfAll(warm) != rowsOf(warm, "prefetch", "") || warm.Prefetch.Wasted.Blocks != 0 {
				t.Errorf("the second time: %+v", warm.Prefetch)
			}
		})
	}
}

// What a mount has read ahead, its program uses without a read that the daemon sees:
// the next mount's reads are hits all the same, and nothing is booked twice.
func TestTheBooksOfColdAndWarmMounts(t *testing.T) {
	m := startMountTest(t)
	mounted := func() statsReport {
		dir, _ := m.mount("--workload", "serve")
		if out, err := exec.Command("sh", "-c", "cat "+dir+"/*/* | wc -c").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := m.cached("umount", dir); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		r := quietBooks(t, m.daemon.client)
		if p := aheadOfAll(r); p.Bytes > rowsOf(r, "prefetch", "").Bytes || r.Prefetch.Pending.Blocks != 0 {
			t.Errorf("%+v of what was read ahead: %+v", r.Prefetch, r.Rows)
		}
		return r
	}
	cold := mounted()
	warm := mounted()
	if hits := warm.HitRate*float64(warm.Demand.Blocks) - cold.HitRate*float64(cold.Demand.Blocks); hits < float64(warm.Demand.Blocks-cold.Demand.Blocks)-0.5 {
		t.Errorf("of %d more reads %.0f are hits", warm.Demand.Blocks-cold.Demand.Blocks, hits)
	}
	if warm.OriginBytes-cold.OriginBytes > 1<<20 { // the profile and its pack
		t.Errorf("%d bytes were read from the origin again", warm.OriginBytes-cold.OriginBytes)
	}
}
