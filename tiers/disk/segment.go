package disk

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zonecache/cached/tiers/disk/evict"
)

// A segment is one file of blocks, written front to back once and then only
// read, until it is dropped whole. Readers use id, file, Heat and since;
// everything else belongs to the writer.
type segment struct {
	id    uint64
	file  segmentFile
	since time.Time // when its first block came; after a restart, when its last did
	evict.Segment
}

const segmentSuffix = ".seg"

func segmentPath(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", id, segmentSuffix))
}

// parseSegmentName returns the number of the segment in a file of that name.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) < 12 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, err == nil
}

// segmentTable finds open segments by number.
type segmentTable struct {
	mu sync.RWMutex
	m  map[uint64]*segment
}

func (t *segmentTable) get(id uint64) *segment {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.m[id]
}

func (t *segmentTable) add(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.m[s.id] = s
}

func (t *segmentTable) remove(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, s.id)
}

// all returns the segments, in no order.
func (t *segmentTable) all() []*segment {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]*segment, 0, len(t.m))
	for _, s := range t.m {
		list = append(list, s)
	}
	return list
}
