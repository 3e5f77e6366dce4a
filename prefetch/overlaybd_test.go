package prefetch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/zonecache/cached/prefetch"
)

func TestOverlaybd(t *testing.T) {
	want := []prefetch.Range{{Offset: 4096, Length: 8192}, {Offset: 0, Length: 512}, {Offset: 1 << 40, Length: 1 << 20}}
	p := prefetch.EncodeOverlaybd(want)
	if got, err := prefetch.DecodeOverlaybd(p); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
	// One record, computed by hand: CRC-32C begun with 0 and not inverted.
	one := prefetch.EncodeOverlaybd(want[:1])
	if sum := binary.LittleEndian.Uint32(one[16:]); sum != bitwiseSum(one[24:]) {
		t.Errorf("checksum %08x", sum)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "truncated": p[:len(p)-1], "a record less": p[:len(p)-24], "damaged": flip(p, 40), "another magic": flip(p, 0), "its header": p[:20],
	} {
		if got, err := prefetch.DecodeOverlaybd(bad); !errors.Is(err, prefetch.ErrOverlaybd) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	layered := bytes.Clone(one)
	layered[24+4] = 1
	binary.LittleEndian.PutUint32(layered[16:], bitwiseSum(layered[24:]))
	if _, err := prefetch.DecodeOverlaybd(layered); !errors.Is(err, prefetch.ErrOverlaybd) {
		t.Errorf("another layer: %v", err)
	}
	layered[24] = 'W'
	binary.LittleEndian.PutUint32(layered[16:], bitwiseSum(layered[24:]))
	if got, err := prefetch.DecodeOverlaybd(layered); err != nil || len(got) != 0 {
		t.Errorf("a write: %v, %v", got, err)
	}
}

func flip(p []byte, i int) []byte {
	p = bytes.Clone(p)
	p[i] ^= 1
	return p
}

// bitwiseSum is the checksum bit by bit, with the reversed polynomial.
func bitwiseSum(p []byte) (crc uint32) {
	for _, b := range p {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78*(crc&1)
		}
	}
	return crc
}

func FuzzDecodeOverlaybd(f *testing.F) {
	f.Add(prefetch.EncodeOverlaybd(nil))
	f.Add(prefetch.EncodeOverlaybd([]prefetch.Range{{Offset: 4096, Length: 8192}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		ranges, err := prefetch.DecodeOverlaybd(p)
		if err == nil && len(ranges)*24+24 > len(p) {
			t.Fatalf("%d ranges of %d bytes", len(ranges), len(p))
		}
	})
}
