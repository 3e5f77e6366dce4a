package gossip

import (
	"strings"
	"testing"
)

func TestMetaSurvivesTheWire(t *testing.T) {
	for _, want := range []meta{
		{zone: "z", peer: "10.0.0.1:7072"},
		{zone: "z1", peer: "[::1]:1", weight: 1<<32 - 1, rate: 100_000, version: "v1.2.3", leaving: true},
		{zone: strings.Repeat("z", maxName), peer: strings.Repeat("p", maxPeer-6) + ":65535", weight: 1<<32 - 1, rate: 1<<32 - 1, version: strings.Repeat("v", maxVersion), leaving: true},
	} {
		b := want.encode()
		if len(b) > maxMeta {
			t.Errorf("%d bytes: want at most %d", len(b), maxMeta)
		}
		got, err := decodeMeta(b)
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestMetaOfNewerNodeIsRead(t *testing.T) {
	want := meta{zone: "z", peer: "10.0.0.1:7072", weight: 7}
	b := appendText(want.encode(), 99, "what a later version says")
	got, err := decodeMeta(b)
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestMetaThatCannotBeRead(t *testing.T) {
	good := (&meta{zone: "z", peer: "10.0.0.1:7072"}).encode()
	with := func(tag uint64, value string) []byte { return appendText(append([]byte(nil), good...), tag, value) }
	for name, b := range map[string][]byte{
		"empty":           {},
		"too long":        append(good, make([]byte, maxMeta)...),
		"unknown format":  append([]byte{9}, good[1:]...),
		"cut":             good[:len(good)-1],
		"no zone":         {metaFormat},
		"endless length":  append([]byte{metaFormat, tagZone}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"bad zone":        with(tagZone, "a b"),
		"no port":         with(tagPeer, "10.0.0.1"),
		"port 0":          with(tagPeer, "10.0.0.1:0"),
		"no host":         with(tagPeer, ":7072"),
		"host with slash": with(tagPeer, "evil/path:7072"),
		"host with line":  with(tagPeer, "evil\nline:7072"),
		"weight too big":  with(tagWeight, "\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"weight of text":  with(tagWeight, "\x01\x02"),
		"version binary":  with(tagVersion, "\xff"),
		"version long":    with(tagVersion, strings.Repeat("v", maxVersion+1)),
	} {
		if got, err := decodeMeta(b); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add((&meta{zone: "z", peer: "10.0.0.1:7072", weight: 3, rate: 1000, version: "v1", leaving: true}).encode())
	f.Add([]byte{metaFormat, tagZone, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		again, err := decodeMeta(m.encode())
		if err != nil || again != m {
			t.Errorf("%+v is read again as %+v, %v", m, again, err)
		}
	})
}

func FuzzNotice(f *testing.F) {
	f.Add(notice{"n1", "n2", "connection refused"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNotice(b)
		if err != nil {
			return
		}
		again, err := decodeNotice(n.encode())
		if err != nil || again.name != n.name || again.finder != n.finder {
			t.Errorf("%+v is read again as %+v, %v", n, again, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(testKey + "\n# comment\n\n" + NewKey() + "\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseKeys(b)
		if err == nil && (len(keys) == 0 || len(keys) > maxKeys) {
			t.Errorf("%d keys", len(keys))
		}
	})
}
