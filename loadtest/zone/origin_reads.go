package zone

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// OriginReads are the reads that the store has answered with bytes, as its own
// access log tells.
type OriginReads struct {
	Blocks   map[string]int // by block, in hex: how often
	Total    int            // reads of blocks
	Bytes    int64          // of blocks, as often as they were read
	Distinct int64          // bytes, each block once
	Others   int            // reads of manifests and names
	By       map[string]int // reads of blocks by IP
}

// Most returns how often the block was read that was read most often.
func (r OriginReads) Most() int {
	most := 0
	for _, n := range r.Blocks {
		most = max(most, n)
	}
	return most
}

// accessLine takes from a line of the log who read what.
var accessLine = regexp.MustCompile(`\] (\S+) \S+ \S+ s3_GetObject (\S+) \S+ 20[06] `)

// Mark returns a place in the store's log for [Store.Reads].
func (s *Store) Mark(tb testing.TB) int64 {
	tb.Helper()
	fi, err := os.Stat(s.log)
	if err != nil {
		tb.Fatal(err)
	}
	return fi.Size()
}

// Reads returns the store's reads since a mark; 0 is the beginning.
func (s *Store) Reads(tb testing.TB, since int64) OriginReads {
	tb.Helper()
	doc, err := os.ReadFile(s.log)
	if err != nil {
		tb.Fatal(err)
	}
	r := OriginReads{Blocks: map[string]int{}, By: map[string]int{}}
	for line := range strings.Lines(string(doc[min(since, int64(len(doc))):])) {
		m := accessLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		id, isBlock := strings.CutPrefix(m[2], "blocks/")
		if !isBlock {
			r.Others++
			continue
		}
		r.Total++
		r.Blocks[id[strings.LastIndexByte(id, '/')+1:]]++
		r.By[m[1]]++
	}
	for id, n := range r.Blocks {
		fi, err := os.Stat(filepath.Join(s.dir, "images", "blocks", id[:2], id))
		if err != nil {
			tb.Fatal(err)
		}
		r.Bytes += int64(n) * fi.Size()
		r.Distinct += fi.Size()
	}
	return r
}
