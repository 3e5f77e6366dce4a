package origin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/internal/figure"
)

const benchBlock = 256 << 10

// rounds is how often the two sides take turns; a round reads each block once.
func rounds() int {
	if figure.Full() {
		return 15
	}
	return 3
}

// race lets two ways to read the same blocks take turns, A B A B, each with the
// given number of clients, and returns the median of the ratios of their
// speeds, and of the speed of a in bytes per second.
func race(b *testing.B, clients int, blocks []block.Block, a, plain func(i int) error) (ratio, speed float64) {
	b.Helper()
	once := func(read func(i int) error) float64 {
		var wg sync.WaitGroup
		start := time.Now()
		for c := range clients {
			wg.Go(func() {
				for i := range blocks {
					if err := read((i + c*len(blocks)/clients) % len(blocks)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return float64(clients*len(blocks)*benchBlock) / time.Since(start).Seconds()
	}
	once(a) // connections and caches warm for both
	once(plain)
	ratios, speeds := make([]float64, rounds()), make([]float64, rounds())
	for r := range ratios {
		speeds[r] = once(a)
		ratios[r] = speeds[r] / once(plain)
	}
	return median(ratios), median(speeds)
}

func median[T cmp.Ordered](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

func read(o *Origin, id block.ID) error {
	got, err := o.ReadBlock(context.Background(), id)
	if err == nil {
		got.Release()
	}
	return err
}

// BenchmarkFolderRead compares a read from a folder with os.ReadFile of the same
// files, from the page cache.
func BenchmarkFolderRead(b *testing.B) {
	dir := b.TempDir()
	o := open(b, Options{}, "file://"+dir)
	blocks := blocktest.Blocks(b, 1, 256, benchBlock)
	for _, bl := range blocks {
		mustPut(b, o, bl)
	}
	var ratio, speed float64
	for b.Loop() {
		ratio, speed = race(b, 1, blocks,
			func(i int) error { return read(o, blocks[i].ID()) },
			func(i int) error {
				_, err := os.ReadFile(filepath.Join(dir, blockKey(blocks[i].ID())))
				return err
			})
	}
	figure.Report(b, "origin.folder.read_vs_readfile", ratio, "x")
	figure.Report(b, "origin.folder.read", speed/1e9, "GB/s")
}

// BenchmarkBucketRead compares a read from a real S3 server with minio-go's
// GetObject, read to its end into memory of the object's length.
func BenchmarkBucketRead(b *testing.B) {
	withKeys(b, accessKey, secretKey)
	addr := gateway(b)
	o := open(b, Options{}, "s3://images?endpoint=http://"+addr)
	client, err := minio.New(addr, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		b.Fatal(err)
	}
	blocks := blocktest.Blocks(b, 1, 96, benchBlock)
	for _, bl := range blocks {
		mustPut(b, o, bl)
	}
	plain := func(i int) error {
		object, err := client.GetObject(context.Background(), "images", blockKey(blocks[i].ID()), minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer object.Close()
		_, err = io.ReadFull(object, make([]byte, benchBlock))
		return err
	}
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			var ratio, speed float64
			for b.Loop() {
				ratio, speed = race(b, clients, blocks[:max(12, 96/clients)], func(i int) error { return read(o, blocks[i].ID()) }, plain)
			}
			figure.Report(b, fmt.Sprintf("origin.s3.read_vs_minio.%d", clients), ratio, "x")
			figure.Report(b, fmt.Sprintf("origin.s3.read.%d", clients), speed/1e6, "MB/s")
		})
	}
}
