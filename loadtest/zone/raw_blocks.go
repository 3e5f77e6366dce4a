package zone

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
)

// Packs returns how many packs the store has, of whatever image.
func (s *Store) Packs(tb testing.TB) int {
	tb.Helper()
	all, err := filepath.Glob(filepath.Join(s.packs(), "*", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	return len(all)
}

// DropPacks removes all packs, which daemons make anew.
func (s *Store) DropPacks(tb testing.TB) {
	tb.Helper()
	if err := os.RemoveAll(s.packs()); err != nil {
		tb.Fatal(err)
	}
}

func (s *Store) packs() string { return filepath.Join(s.dir, "images", "packs") }

// PutBlocks puts n blocks of size bytes into the store that belong to no image.
func (s *Store) PutBlocks(tb testing.TB, n, size int) []block.ID {
	tb.Helper()
	ids := make([]block.ID, n)
	p := make([]byte, size)
	for i := range ids {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(i)+1<<32)
		_, _ = rand.NewChaCha8(seed).Read(p) // never fails
		ids[i] = block.Sum(p)
		name := strings.TrimPrefix(ids[i].String(), block.IDPrefix)
		dir := filepath.Join(s.dir, "images", "blocks", name[:2])
		if err := os.MkdirAll(dir, 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return ids
}
