package block

import (
	"crypto/sha256"
	"testing"
)

// BenchmarkDigest is the evidence behind docs/adr/0002-digest.md.
func BenchmarkDigest(b *testing.B) {
	p := make([]byte, 512<<10)
	for i := range p {
		p[i] = byte(i * 7)
	}
	b.Run("blake3", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			Sum(p)
		}
	})
	b.Run("sha256", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			sha256.Sum256(p)
		}
	})
}
