package disk

import (
	"errors"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/tiers/disk/evict"
)

func FuzzDecodeLocation(f *testing.F) {
	v := location{7, 8192, 262144}.encode()
	f.Add(v[:])
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, v []byte) {
		l, err := decodeLocation(v)
		if err != nil {
			if !errors.Is(err, errDecode) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if back := l.encode(); string(back[:]) != string(v) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", v, l, back)
		}
		if l.length == 0 || l.length > block.MaxSize {
			t.Fatalf("a block of %d bytes", l.length)
		}
	})
}

func FuzzDecodeRecords(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, record{ID: block.Sum(nil), Length: 1}), record{ID: block.Sum(nil), Offset: 1, Length: 4096}))
	f.Add(make([]byte, recordSize))
	f.Fuzz(func(t *testing.T, v []byte) {
		list, err := decodeRecords(nil, v)
		if err != nil {
			if !errors.Is(err, errDecode) {
				t.Fatalf("error %v", err)
			}
			return
		}
		var back []byte
		for _, r := range list {
			back = appendRecord(back, r)
		}
		if string(back) != string(v) {
			t.Fatalf("%x encodes to %x", v, back)
		}
	})
}

func FuzzDecodeSegmentRecord(f *testing.F) {
	v := segmentRecord{evict.Main, 12, 64 << 20}.encode()
	f.Add(v[:])
	f.Fuzz(func(t *testing.T, v []byte) {
		r, err := decodeSegmentRecord(v)
		if err != nil {
			return
		}
		if back := r.encode(); string(back[:]) != string(v) {
			t.Fatalf("%x encodes to %x", v, back)
		}
	})
}

func TestSegmentNames(t *testing.T) {
	for name, want := range map[string]bool{
		"000000000001.seg": true, "1000000000000.seg": true,
		"1.seg": false, "000000000001.tmp": false, "00000000000x.seg": false, ".seg": false, "": false,
	} {
		if _, ok := parseSegmentName(name); ok != want {
			t.Errorf("parseSegmentName(%q) = %v", name, ok)
		}
	}
}
