package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
)

func sample() *Manifest {
	return &Manifest{
		MediaType: MediaTypeEROFS, Size: 300_100, Source: "sha256:00",
		Annotations: map[string]string{AnnotationPlatform: "linux/amd64", AnnotationConfig: `{"config":{}}`},
		Blocks: []BlockRef{
			{ID: block.Sum([]byte("a")), Stored: 100_000, Length: 100_000, Encoding: Raw},
			{ID: block.Sum([]byte("b")), Stored: 9, Length: 200_000, Encoding: Zstd},
			{ID: block.Sum([]byte("c")), Stored: 100, Length: 100, Encoding: Raw},
		},
	}
}

func mustEncode(t testing.TB, m *Manifest) []byte {
	t.Helper()
	p, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestManifestRoundTrip(t *testing.T) {
	for name, m := range map[string]*Manifest{"sample": sample(), "empty": {MediaType: MediaTypeBytes}} {
		p := mustEncode(t, m)
		got, err := Decode(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again := mustEncode(t, got); !bytes.Equal(again, p) {
			t.Errorf("%s: encoded again differs", name)
		}
		if got.Size != m.Size || got.Source != m.Source || !slices.Equal(got.Blocks, m.Blocks) || got.Annotations[AnnotationConfig] != m.Annotations[AnnotationConfig] {
			t.Errorf("%s: %+v is not what was encoded", name, got)
		}
	}
}

func TestManifestRefusesWhatIsWrong(t *testing.T) {
	good := mustEncode(t, sample())
	edit := func(f func(p []byte) []byte) []byte { return f(bytes.Clone(good)) }
	blocksAt := len(good) - 3*blockBytes
	set32 := func(at int, v uint32) []byte {
		return edit(func(p []byte) []byte { binary.BigEndian.PutUint32(p[at:], v); return p })
	}
	tests := map[string]struct {
		p    []byte
		want string
	}{
		"nothing":            {nil, "truncated"},
		"another file":       {[]byte("PK\x03\x04........."), "begins with"},
		"of the future":      {edit(func(p []byte) []byte { p[8] = 2; return p }), "use a newer program"},
		"one byte more":      {append(bytes.Clone(good), 0), "follow"},
		"block count bomb":   {set32(blocksAt-4, 1<<32-1), "blocks need"},
		"annotation bomb":    {set32(9+4+len(MediaTypeEROFS)+4+len("sha256:00"), 1<<31), "annotations"},
		"text bomb":          {set32(9, 1<<32-1), "media type of"},
		"size does not add":  {set32(blocksAt-8, 7), "add up"},
		"no id":              {edit(func(p []byte) []byte { clear(p[blocksAt : blocksAt+32]); return p }), "no id"},
		"block too long":     {set32(blocksAt+36, block.MaxSize+1), "want 1 to"},
		"block empty":        {set32(blocksAt+36, 0), "want 1 to"},
		"raw, other length":  {set32(blocksAt+32, 99), "raw but stores"},
		"zstd without gain":  {set32(blocksAt+41+32, 200_000), "compressed but"},
		"unknown encoding":   {edit(func(p []byte) []byte { p[blocksAt+40] = 9; return p }), "unknown"},
		"annotations turned": {swapAnnotations(good), "is not behind"},
	}
	for name, tt := range tests {
		if _, err := Decode(tt.p); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	for n := range good {
		if _, err := Decode(good[:n]); !errors.Is(err, ErrManifest) {
			t.Fatalf("the first %d bytes decode: %v", n, err)
		}
	}
	if _, err := DecodeVerified(block.ID{1}, good); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("wrong digest: %v", err)
	}
	bad := []byte("no manifest")
	if _, err := DecodeVerified(block.Sum(bad), bad); !errors.Is(err, block.ErrCorrupt) || !errors.Is(err, ErrManifest) {
		t.Errorf("right digest, no manifest: %v", err)
	}
}

// swapAnnotations puts the two annotations in the wrong order.
func swapAnnotations(p []byte) []byte {
	a := appendText(appendText(nil, AnnotationConfig), `{"config":{}}`)
	b := appendText(appendText(nil, AnnotationPlatform), "linux/amd64")
	return bytes.Replace(p, append(bytes.Clone(a), b...), append(bytes.Clone(b), a...), 1)
}

func FuzzDecode(f *testing.F) {
	f.Add(mustEncode(f, sample()))
	f.Add(mustEncode(f, &Manifest{MediaType: MediaTypeBytes}))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := Decode(p)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if again := mustEncode(t, m); !bytes.Equal(again, p) {
			t.Fatal("a manifest with two encodings")
		}
	})
}

func TestLocate(t *testing.T) {
	m := sample()
	for off, want := range map[int64][2]int64{0: {0, 0}, 99_999: {0, 99_999}, 100_000: {1, 0}, 299_999: {1, 199_999}, 300_000: {2, 0}, 300_099: {2, 99}} {
		if i, at := m.Locate(off); [2]int64{int64(i), at} != want {
			t.Errorf("Locate(%d) = %d, %d, want %v", off, i, at, want)
		}
	}
	if m.Offset(2) != 300_000 {
		t.Errorf("Offset(2) = %d", m.Offset(2))
	}
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {300_101, 0}, {300_000, 101}, {1, 1<<63 - 1}} {
		var want *RangeError
		if err := m.CheckRange(r[0], r[1]); !errors.As(err, &want) {
			t.Errorf("CheckRange%v = %v", r, err)
		}
	}
	if err := m.CheckRange(300_100, 0); err != nil {
		t.Error(err)
	}
}
