package blocktest

import (
	"math/rand/v2"
	"testing"

	"github.com/zonecache/cached/block"
)

// Bytes returns n reproducible, incompressible bytes for the seed.
func Bytes(seed uint64, n int) []byte {
	p := make([]byte, n)
	src := rand.NewPCG(seed, 0x9e3779b97f4a7c15)
	for i := 0; i < n; i += 8 {
		w := src.Uint64()
		for j := i; j < min(i+8, n); j++ {
			p[j] = byte(w)
			w >>= 8
		}
	}
	return p
}

// Block returns the block of Bytes(seed, n); the caller releases it.
func Block(seed uint64, n int) block.Block { return block.New(Bytes(seed, n), block.Origin) }

// Blocks returns count different blocks of n bytes, released when the test
// ends. The seed of the i-th is first+i.
func Blocks(t testing.TB, first uint64, count, n int) []block.Block {
	t.Helper()
	all := make([]block.Block, count)
	for i := range all {
		all[i] = Block(first+uint64(i), n)
	}
	t.Cleanup(func() {
		for _, b := range all {
			b.Release()
		}
	})
	return all
}
