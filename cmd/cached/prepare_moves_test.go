package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// newTestNode is a node in this process over an origin in a folder.
func newTestNode(t *testing.T) (n *node, origin string) {
	t.Helper()
	dir := t.TempDir()
	cfg := Default()
	cfg.DataDir, cfg.L1.Size, cfg.L2.Size = dir, 64<<20, 0
	cfg.complete()
	if err := prepareDirs(cfg); err != nil {
		t.Fatal(err)
	}
	n, err := wire(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return n, filepath.Join(dir, "origin")
}

// A name that points elsewhere before its image is prepared is followed, but not for
// ever.
func TestPreparingANameThatMoves(t *testing.T) {
	for _, moves := range []int{1, maxMoves - 1, maxMoves} {
		t.Run(fmt.Sprint(moves), func(t *testing.T) {
			n, origin := newTestNode(t)
			publishFile(t, origin, "app", 100_000)
			p := newPreparer(n, "", slog.New(slog.DiscardHandler))
			t.Cleanup(p.close)
			var mu sync.Mutex
			moved := 0
			p.reader = block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
				mu.Lock()
				defer mu.Unlock()
				if moved < moves { // while it is prepared
					moved++
					publishFile(t, origin, "app", 100_000+moved)
					n.catalog.Forget("app")
				}
				return n.reader.ReadBlock(ctx, id)
			})
			if _, err := p.Prepare(t.Context(), "app", cachedv1.PreparationScope_PREPARATION_SCOPE_ALL); err != nil {
				t.Fatal(err)
			}
			p.work.Wait()
			e := p.List()[0]
			if moves >= maxMoves {
				if e.GetState() != cachedv1.PreparationState_PREPARATION_STATE_FAILED || !strings.Contains(e.GetProblem(), "moved") {
					t.Errorf("%v", e)
				}
				return
			}
			now, err := n.catalog.Open(t.Context(), "app")
			if err != nil || e.GetState() != cachedv1.PreparationState_PREPARATION_STATE_READY || e.GetManifestId() != now.Ref.Manifest.String() {
				t.Errorf("%v, %v, %s", e, err, now.Ref.Manifest)
			}
			for _, b := range now.Manifest.Blocks {
				if !n.holds(b.ID) {
					t.Errorf("block %s is not here", b.ID.Short())
				}
			}
		})
	}
}
