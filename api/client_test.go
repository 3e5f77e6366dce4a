package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// connectTo returns a client of url, closed when the test ends.
func connectTo(tb testing.TB, url string, o ClientOptions) *Client {
	tb.Helper()
	c, err := NewClient(url, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func TestClientReadsBlocks(t *testing.T) {
	blocks := blocktest.Blocks(t, 1, 4, 300_000)
	empty := block.New(nil, block.Memory)
	largest := blocktest.Block(9, block.MaxSize)
	fake := blocktest.NewFake(block.Disk, empty, largest)
	t.Cleanup(func() { fake.Close() })
	for _, b := range blocks {
		fake.WriteBlock(t.Context(), b)
	}
	c := connectTo(t, serve(t, Services{Blocks: fake}, Options{}), ClientOptions{})
	for range 3 {
		for _, b := range append(blocks, empty, largest) {
			blocktest.CheckRead(t, c, b, block.Disk)
		}
	}
	blocktest.CheckError(t, c, block.Sum([]byte("absent")), block.ErrNotFound)
	blocktest.CheckRead(t, c, blocks[0], block.Disk) // the connection outlives an error
}

func TestClientReadsRanges(t *testing.T) {
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	c := connectTo(t, serve(t, Services{Blocks: inMemory(b)}, Options{}), ClientOptions{})
	for _, s := range []span{{}, {0, 1}, {99_999, 1}, {99_999, 0}, {5, 50_000}, {0, 100_000}} {
		buf, tier, err := c.ReadRange(t.Context(), b.ID(), s.offset, s.length)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		from, to, _ := s.within(b.Len())
		if string(buf.Bytes()) != string(b.Bytes()[from:to]) || tier != block.Memory {
			t.Errorf("%+v: wrong bytes or tier %s", s, tier)
		}
		buf.Release()
	}
	for _, s := range []span{{100_000, 0}, {100_000, 1}, {0, 100_001}, {1 << 63, 1 << 63}, {99_999, 2}} {
		if _, _, err := c.ReadRange(t.Context(), b.ID(), s.offset, s.length); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "100000") {
			t.Errorf("%+v: error %v, want ErrInvalid that names the block's length", s, err)
		}
	}
}

func TestClientCarriesTheCall(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var got atomic.Pointer[block.Call]
	c := connectTo(t, serve(t, Services{Blocks: block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
		call := block.CallFrom(ctx)
		got.Store(&call)
		if _, ok := ctx.Deadline(); !ok {
			return block.Block{}, errors.New("no deadline came over")
		}
		return b.Retain(), nil
	})}, Options{}), ClientOptions{})
	want := block.Call{Image: "flask:v1&x=ä/ %", Workload: "a b+c", Tenant: "t", Cause: block.Prefetch, Hops: 3}
	ctx, cancel := context.WithTimeout(block.WithCall(t.Context(), want), time.Minute)
	defer cancel()
	r, err := c.ReadBlock(ctx, b.ID())
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
	want.Via = block.ViaRaw
	if *got.Load() != want {
		t.Fatalf("the daemon saw %+v, want %+v", *got.Load(), want)
	}
}

func TestClientSaysThatNoDaemonListens(t *testing.T) {
	l := listen(t)
	l.Close()
	c := connectTo(t, "http://"+l.Addr().String(), ClientOptions{})
	_, err := c.ReadBlock(t.Context(), block.Sum(nil))
	_, listErr := c.ListImages(t.Context())
	for _, err := range []error{err, listErr} {
		if !errors.Is(err, block.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "is `cached serve` running?") {
			t.Errorf("error %v", err)
		}
	}
}

func TestNewClientRefusesOtherURLs(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:7070", "ftp://h:1", "https://", "http://", "http://h/x", "http://u:p@h", "http://h?x", "file:///tmp", "http://h:port", "unix://", "unix:///", "unix://host/path", "unix:path", "unix:///path?x", "http://h#x"} {
		if _, err := NewClient(bad, ClientOptions{}); err == nil {
			t.Errorf("NewClient(%q) succeeded", bad)
		}
	}
}

// A daemon that lies, in every way a response can.
func TestHostileServers(t *testing.T) {
	b := blocktest.Block(1, 5000)
	defer b.Release()
	head := func(fields ...string) string {
		return "HTTP/1.1 200 OK\r\nX-Cached-Tier: l1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
	}
	body := string(b.Bytes())
	for name, tt := range map[string]struct {
		response string
		want     error
		text     string
	}{
		"wrong bytes":           {head("Content-Length: 5000") + strings.Repeat("x", 5000), block.ErrCorrupt, "digest"},
		"too short":             {head("Content-Length: 4000") + body[:4000], block.ErrCorrupt, "4000 bytes"},
		"empty body":            {head("Content-Length: 0"), block.ErrCorrupt, "0 bytes"},
		"breaks off":            {head("Content-Length: 5000") + body[:100], block.ErrUnavailable, "broke off"},
		"huge length":           {head("Content-Length: 1048577"), block.ErrUnavailable, "at most"},
		"absurd length":         {head("Content-Length: 99999999999999999999999999"), block.ErrUnavailable, "Content-Length"},
		"negative length":       {head("Content-Length: -1"), block.ErrUnavailable, "Content-Length"},
		"two lengths":           {head("Content-Length: 5000", "Content-Length: 4000") + body, block.ErrUnavailable, "Content-Length"},
		"no length":             {head("Connection: close") + body, block.ErrUnavailable, "length"},
		"chunked":               {head("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", block.ErrUnavailable, "length"},
		"redirect":              {"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", block.ErrUnavailable, "302"},
		"another server's 404":  {"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot here\n", block.ErrUnavailable, "cached daemon"},
		"429 without reason":    {"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", block.ErrOverloaded, "429"},
		"unknown tier":          {"HTTP/1.1 200 OK\r\nX-Cached-Tier: l9\r\nContent-Length: 5000\r\n\r\n" + body, block.ErrUnavailable, "l9"},
		"no tier":               {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + body, block.ErrUnavailable, "cached daemon"},
		"endless head":          {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 3000), block.ErrUnavailable, "head"},
		"not HTTP":              {"SSH-2.0-OpenSSH_9.2\r\n\r\n", block.ErrUnavailable, "status line"},
		"1xx":                   {"HTTP/1.1 100 Continue\r\n\r\n", block.ErrUnavailable, "status"},
		"closes at once":        {"", block.ErrUnavailable, "closed"},
		"head without colon":    {"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", block.ErrUnavailable, "colon"},
		"more than was stated":  {head("Content-Length: 5000") + body + "EXTRA", nil, ""},
		"endless error message": {"HTTP/1.1 500 X\r\nContent-Length: 1000000000\r\n\r\n", block.ErrUnavailable, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			c := connectTo(t, hostile(t, tt.response), ClientOptions{})
			for range 2 {
				got, err := c.ReadBlock(t.Context(), b.ID())
				if tt.want == nil {
					if err != nil || string(got.Bytes()) != body {
						t.Fatalf("%v", err)
					}
					got.Release()
					continue
				}
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("error %v, want %v with %q", err, tt.want, tt.text)
				}
				if errors.Is(err, block.ErrNotFound) {
					t.Fatalf("error %v claims that the block does not exist", err)
				}
			}
		})
	}
}

// hostile answers every request with the same bytes and closes the connection.
func hostile(tb testing.TB, response string) string {
	l := listen(tb)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.WriteString(c, response)
			}
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestClientHonoursItsContext(t *testing.T) {
	l := listen(t) // accepts into its backlog and never answers
	url := "http://" + l.Addr().String()
	c := connectTo(t, url, ClientOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	failsWith(ctx, t, c, context.DeadlineExceeded)
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	failsWith(ctx, t, c, context.Canceled)
	failsWith(ctx, t, c, context.Canceled) // before anything is sent
	impatient := connectTo(t, url, ClientOptions{Timeout: 20 * time.Millisecond})
	failsWith(t.Context(), t, impatient, block.ErrUnavailable)
}

func failsWith(ctx context.Context, t *testing.T, c *Client, want error) {
	t.Helper()
	t.Helper()
	if _, err := c.ReadBlock(ctx, block.Sum(nil)); !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// A server may close an idle connection at any moment; the next read must not
// fail because of it.
func TestClientSurvivesClosedIdleConnections(t *testing.T) {
	b := blocktest.Block(1, 5000)
	defer b.Release()
	l := listen(t)
	var conns atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Cached-Tier: l1\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.Bytes())
			}
			c.Close() // without having said so
		}
	}()
	c := connectTo(t, "http://"+l.Addr().String(), ClientOptions{})
	for range 5 {
		blocktest.CheckRead(t, c, b, block.Memory)
	}
	if got := conns.Load(); got != 5 {
		t.Fatalf("%d connections for 5 reads", got)
	}
}

func TestClientKeepsConnections(t *testing.T) {
	b := blocktest.Block(1, 5000)
	defer b.Release()
	c := connectTo(t, serve(t, Services{Blocks: inMemory(b)}, Options{}), ClientOptions{})
	for range 20 {
		blocktest.CheckRead(t, c, b, block.Memory)
	}
	c.conns.mu.Lock()
	defer c.conns.mu.Unlock()
	if got := len(c.conns.idle); got != 1 {
		t.Fatalf("%d idle connections after reads one by one, want 1", got)
	}
}
