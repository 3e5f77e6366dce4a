package image

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// BenchmarkLevels compresses and decompresses the blocks of a real tree, one core:
//
//	go test ./image -run '^$' -bench Levels -benchtime 1x
func BenchmarkLevels(b *testing.B) {
	l := lay(b, filepath.Join(goroot(b), "src", "cmd"))
	cutter, err := NewCutter(bytes.NewReader(l.bytes), nil)
	if err != nil {
		b.Fatal(err)
	}
	var blocks [][]byte
	for {
		p, err := cutter.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		blocks = append(blocks, bytes.Clone(p.Bytes))
	}
	for _, lv := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression} {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(lv), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			b.Fatal(err)
		}
		var packed [][]byte
		b.Run("encode/"+lv.String(), func(b *testing.B) {
			b.SetBytes(int64(len(l.bytes)))
			var stored int
			for b.Loop() {
				packed, stored = nil, 0
				for _, p := range blocks {
					out := enc.EncodeAll(p, nil)
					packed, stored = append(packed, out), stored+len(out)
				}
			}
			b.ReportMetric(100*float64(stored)/float64(len(l.bytes)), "%stored")
		})
		dec, err := newDecoder()
		if err != nil {
			b.Fatal(err)
		}
		defer dec.Close()
		b.Run("decode/"+lv.String(), func(b *testing.B) {
			b.SetBytes(int64(len(l.bytes)))
			dst := make([]byte, defaultCut.max)
			for b.Loop() {
				for i, p := range packed {
					if err := decode(dec, dst[:len(blocks[i])], p, BlockRef{Length: uint32(len(blocks[i])), Encoding: Zstd}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
