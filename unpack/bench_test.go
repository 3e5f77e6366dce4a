package unpack

import (
	"archive/zip"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkInto unpacks a package of a thousand files of some 20 KiB.
func BenchmarkInto(b *testing.B) {
	var files []item
	for i := range 1000 {
		files = append(files, item{name: fmt.Sprintf("lib/%02d/%03d.py", i%40, i), mode: 0o644, body: strings.Repeat(fmt.Sprintf("def f%d(): return %d\n", i, i*i), 800)})
	}
	plain := tarOf(b, files...)
	for form, p := range map[Form][]byte{Zip: zipOf(b, zip.Deflate, files...), Tar: plain, TarGzip: gzipOf(b, plain), TarZstd: zstdOf(b, plain)} {
		b.Run(string(form), func(b *testing.B) {
			dir := b.TempDir()
			for i := 0; b.Loop(); i++ {
				res, err := Into(b.Context(), memory{bytes: p}, filepath.Join(dir, fmt.Sprint(i)), Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(res.Bytes)
			}
		})
	}
}
