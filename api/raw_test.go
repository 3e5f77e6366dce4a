package api

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestBlocksAlias(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	url := serve(t, Services{Blocks: inMemory(b)}, Options{}) + blocksPath + b.ID().String()
	hc := plainClient(t)
	tests := []struct {
		name, method string
		fields       []string
		status       int
		from, to     int // of the body
		contentRange string
	}{
		{"whole", "GET", nil, 200, 0, 1000, ""},
		{"head", "HEAD", nil, 200, 0, 0, ""},
		{"head ignores Range", "HEAD", []string{"Range: bytes=0-1"}, 200, 0, 0, ""},
		{"first bytes", "GET", []string{"Range: bytes=0-9"}, 206, 0, 10, "bytes 0-9/1000"},
		{"one byte", "GET", []string{"Range: bytes=999-999"}, 206, 999, 1000, "bytes 999-999/1000"},
		{"open end", "GET", []string{"Range: bytes=400-"}, 206, 400, 1000, "bytes 400-999/1000"},
		{"suffix", "GET", []string{"Range: bytes=-5"}, 206, 995, 1000, "bytes 995-999/1000"},
		{"suffix longer than the block", "GET", []string{"Range: bytes=-5000"}, 206, 0, 1000, "bytes 0-999/1000"},
		{"cut at the end", "GET", []string{"Range: bytes=990-5000"}, 206, 990, 1000, "bytes 990-999/1000"},
		{"huge end", "GET", []string{"Range: bytes=990-99999999999999999999"}, 206, 990, 1000, "bytes 990-999/1000"},
		{"past the end", "GET", []string{"Range: bytes=1000-"}, 416, 0, 0, "bytes */1000"},
		{"far past the end", "GET", []string{"Range: bytes=99999999999999999999-"}, 416, 0, 0, "bytes */1000"},
		{"empty suffix", "GET", []string{"Range: bytes=-0"}, 416, 0, 0, "bytes */1000"},
		{"several ranges are ignored", "GET", []string{"Range: bytes=0-1,5-6"}, 200, 0, 1000, ""},
		{"another unit is ignored", "GET", []string{"Range: blocks=0-1"}, 200, 0, 1000, ""},
		{"backwards is ignored", "GET", []string{"Range: bytes=9-3"}, 200, 0, 1000, ""},
		{"nonsense is ignored", "GET", []string{"Range: bytes=a-b"}, 200, 0, 1000, ""},
		{"compression is declined", "GET", []string{"Accept-Encoding: gzip, br"}, 200, 0, 1000, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := get(t, hc, tt.method, url, tt.fields...)
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Range") != tt.contentRange {
				t.Fatalf("status %d, Content-Range %q: %s", resp.StatusCode, resp.Header.Get("Content-Range"), resp.body)
			}
			if tt.status == 416 {
				if !strings.Contains(string(resp.body), "invalid_argument") {
					t.Fatalf("body %s", resp.body)
				}
				return
			}
			if !bytes.Equal(resp.body, b.Bytes()[tt.from:tt.to]) {
				t.Fatalf("%d wrong bytes", len(resp.body))
			}
			wantLength := tt.to - tt.from
			if tt.method == "HEAD" {
				wantLength = b.Len()
			}
			for name, want := range map[string]string{
				"Content-Length": strconv.Itoa(wantLength), "Content-Type": "application/octet-stream", "Content-Encoding": "",
				"Etag": `"` + b.ID().String() + `"`, "X-Cached-Tier": "l1", "X-Cached-Block-Length": "1000", "Accept-Ranges": "bytes",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("Cache-Control %q", resp.Header.Get("Cache-Control"))
			}
		})
	}
}

func TestRawBadInput(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	url := serve(t, Services{Blocks: inMemory(b)}, Options{})
	hc := plainClient(t)
	id := b.ID().String()
	raw := readBlockPath + "?encoding=raw&"
	for _, tt := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", blocksPath, 400, "blake3:"},
		{"GET", blocksPath + "xyz", 400, "blake3:"},
		{"GET", blocksPath + strings.ToUpper(id), 400, "blake3:"},
		{"GET", blocksPath + id + "/x", 400, "64 hex digits"},
		{"GET", blocksPath + id + "&offset=1", 400, "64 hex digits"},
		{"GET", blocksPath + id + "?offset=1", 400, "Range"},
		{"GET", blocksPath + id + "?imgae=x", 400, "not known"},
		{"GET", blocksPath + id + "?cause=boredom", 400, "demand, prefetch or repair"},
		{"PUT", blocksPath + id, 405, "GET and HEAD"},
		{"DELETE", blocksPath + id, 405, "GET and HEAD"},
		{"GET", raw, 400, "id is missing"},
		{"GET", raw + "id=", 400, "blake3:"},
		{"GET", raw + "id=" + id + "&offset=-1", 400, "whole number"},
		{"GET", raw + "id=" + id + "&offset=99999999999999999999", 400, "whole number"},
		{"GET", raw + "id=" + id + "&length=1001", 400, "which has 1000 bytes"},
		{"GET", raw + "id=" + id + "&offset=1000", 400, "which has 1000 bytes"},
		{"GET", raw + "id=" + id + "&hops=256", 400, "255"},
		{"GET", raw + "id=" + id + "&image=%zz", 400, "image"},
		{"GET", raw + "id=" + id + "&image=" + strings.Repeat("x", 257), 400, "256"},
		{"GET", raw + "id=" + id + "&nonsense", 400, "not known"},
		{"GET", "/", 404, ""},
	} {
		for _, fields := range [][]string{nil, {"Connection: close"}} { // the lane, and net/http
			resp := get(t, hc, tt.method, url+tt.path, fields...)
			if resp.StatusCode != tt.status || !strings.Contains(string(resp.body), tt.text) {
				t.Errorf("%s %s: status %d, %s: want %d with %q", tt.method, tt.path, resp.StatusCode, resp.body, tt.status, tt.text)
			}
		}
	}
}

// The lane and net/http answer alike.
func TestLaneAnswersLikeNetHTTP(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	url := serve(t, Services{Blocks: inMemory(b)}, Options{})
	hc := plainClient(t)
	id := b.ID().String()
	for _, query := range []string{
		"id=" + id, "id=" + id + "&offset=3&length=10&image=a%20b&cause=repair&hops=2",
		"id=" + block.Sum(nil).String(), "id=x", "id=" + id + "&offset=7000",
	} {
		lane := get(t, hc, http.MethodGet, url+readBlockPath+"?encoding=raw&"+query)
		std := get(t, hc, http.MethodGet, url+readBlockPath+"?encoding=raw&"+query, "Connection: close")
		if lane.Status != std.Status || !bytes.Equal(lane.body, std.body) {
			t.Errorf("%s: %s %q, net/http: %s %q", query, lane.Status, lane.body, std.Status, std.body)
		}
		for _, h := range []http.Header{lane.Header, std.Header} {
			if h.Get("Date") == "" {
				t.Errorf("%s: no Date", query)
			}
			h.Del("Date")
			h.Del("Connection")
		}
		if len(lane.Header) != len(std.Header) {
			t.Errorf("%s: header %v, net/http: %v", query, lane.Header, std.Header)
		}
		for name := range std.Header {
			if lane.Header.Get(name) != std.Header.Get(name) {
				t.Errorf("%s: %s: %q, net/http: %q", query, name, lane.Header.Get(name), std.Header.Get(name))
			}
		}
	}
}

func FuzzRawQuery(f *testing.F) {
	id := block.Sum(nil).String()
	for _, s := range []string{"", "id=" + id, "encoding=raw&id=" + id + "&offset=1&length=2&hops=3&cause=prefetch&image=a%2Fb+c&workload=w&tenant=t", "id=%", "&&=&", "id=" + id + "&id="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r, err := parseRawQuery(query)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%q: %v is not ErrInvalid", query, err)
			}
			return
		}
		again, err := parseRawQuery(string(appendRawQuery(nil, r)))
		if err != nil || again != r {
			t.Fatalf("%q: %+v became %+v, %v", query, r, again, err)
		}
	})
}

func FuzzLaneHead(f *testing.F) {
	f.Add([]byte("GET /cached.v1.BlockService/ReadBlock?encoding=raw&id=x HTTP/1.1\r\nHost: h\r\nConnect-Timeout-Ms: 5\r\n\r\nrest"))
	f.Add([]byte("GET /cached.v1.BlockService/ReadBlock?encoding=raw HTTP/1.1\r\n\r\n"))
	f.Add([]byte("GET /cached.v1.BlockService/ReadBlock?encoding=raw&id=x HTTP/1.1\r\nHost: h\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		req, result := parseLaneHead(p)
		if result != headRaw {
			return
		}
		// net/http must understand the same.
		std, err := readRequest(p[:req.size])
		if err != nil {
			t.Fatalf("%q: net/http refuses it: %v", p, err)
		}
		if std.URL.Path != readBlockPath || std.URL.RawQuery != req.query || std.ContentLength != 0 || std.Close {
			t.Fatalf("%q: net/http reads %s, length %d", p, std.URL, std.ContentLength)
		}
		if want := std.Header.Get(parentHeader); req.parent.String() != "" && want != req.parent.String() && len(std.Header[parentHeader]) == 1 {
			t.Fatalf("%q: traceparent %q, net/http reads %q", p, req.parent, want)
		}
	})
}
