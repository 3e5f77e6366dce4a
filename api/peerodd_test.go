package api

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
	"github.com/zonecache/cached/sparse"
)

// oddities counts them.
type oddities struct {
	mu sync.Mutex
	of map[Oddity]int
}

func (o *oddities) count(kind Oddity) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[Oddity]int{}
	}
	o.of[kind]++
}

func (o *oddities) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprint(o.of)
}

// The log says which peer answers nothing, or without end, and each is counted;
// a peer that does it all day does not fill the log.
func TestEmptyAndEndlessAnswersAreLoggedAndCounted(t *testing.T) {
	hangUp := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, _ <-chan struct{}) { io.WriteString(c, text) }
	}
	head := "HTTP/1.1 200 OK\r\nX-Cached-Epoch: 1\r\n"
	for name, tt := range map[string]struct {
		script func(net.Conn, <-chan struct{})
		kind   Oddity
		want   string
	}{
		"nothing":               {hangUp(""), OddEmpty, "closed before the response"},
		"a block of no bytes":   {hangUp(head + "Content-Length: 0\r\nX-Cached-Block-Length: 0\r\n\r\n"), OddEmpty, "says that the block has no bytes"},
		"no bytes of a block":   {says(head + "Content-Length: 0\r\nX-Cached-Block-Length: 9\r\n\r\n"), OddEmpty, "no bytes, of a block of 9"},
		"an endless head":       {endlessly(head, "X-Y: z\r\n"), OddEndless, "larger than"},
		"endless interims":      {endlessly("", "HTTP/1.1 102 Processing\r\n\r\n"), OddEndless, "interim answers"},
		"an endless body":       {endlessly(head+"\r\n", "more"), OddEndless, "does not state its length"},
		"endless chunks":        {endlessly(head+"Transfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n"), OddEndless, "does not state its length"},
		"larger than any block": {endlessly(head+"Content-Length: 9999999999\r\nX-Cached-Block-Length: 9999999999\r\n\r\n", "more"), OddEndless, "at most"},
		"an endless error":      {endlessly("HTTP/1.1 500 x\r\nContent-Length: 99999999999\r\n\r\n", "x"), OddEndless, "HTTP status 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logs
			var odd oddities
			to := scripted(t, tt.script)
			p := newPeers(t, PeerClientOptions{Odd: odd.count, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			const asks = 5
			began := time.Now()
			for range asks {
				a := block.NewArrival(block.Sum([]byte("x")), block.DefaultPool)
				_, err := p.Fetch(t.Context(), to, a.ID(), placement.Ask{}, a)
				if err == nil {
					_, err = a.Finish(block.Peer) // as whoever asked does
				}
				if err == nil {
					t.Error("it counts as the block")
				}
				a.Leave()
			}
			if want := fmt.Sprint(map[Oddity]int{tt.kind: asks}); odd.String() != want {
				t.Errorf("counted %s, want %s", &odd, want)
			}
			lines := strings.Count(log.b.String(), "a peer's answer")
			if most := 1 + int(time.Since(began)/sparse.DefaultGap); lines < 1 || lines > most || !log.has(tt.want) || !log.has("peer=server address="+to.Address) {
				t.Errorf("%d lines: %s", lines, log.b.String())
			}
		})
	}
}

// The empty block has no bytes, and that is right.
func TestTheEmptyBlockIsNotOdd(t *testing.T) {
	b := blocktest.Block(1, 0)
	defer b.Release()
	var odd oddities
	fetchBlock(t, newPeers(t, PeerClientOptions{Odd: odd.count}), servePeers(t, held(b), PeerServerOptions{}), b)
	if odd.String() != "map[]" {
		t.Error(&odd)
	}
}

// A node of an older version knows of an ask only its block and offset, and says
// nothing of rings, depth and heat. It is read from, over a connection that is
// kept, and the log says once what it lacks.
func TestAPeerOfAnOlderVersionIsReadFrom(t *testing.T) {
	content := blocktest.Bytes(1, 5000)
	var asks atomic.Int32
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Cached-Tier: l2\r\nX-Cached-Block-Length: %[1]d\r\nDate: %s\r\n\r\n",
		len(content), time.Now().UTC().Format(time.RFC1123))
	to := scripted(t, func(c net.Conn, _ <-chan struct{}) {
		for buf := make([]byte, maxHead); ; {
			asks.Add(1)
			io.WriteString(c, head)
			c.Write(content)
			if _, err := c.Read(buf); err != nil { // the next ask
				return
			}
		}
	})
	var log logs
	var odd oddities
	p := newPeers(t, PeerClientOptions{Zone: "z", Odd: odd.count, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		a := block.NewArrival(block.Sum(content), block.DefaultPool)
		reply, err := p.Fetch(t.Context(), to, a.ID(), placement.Ask{Epoch: 9, Hops: 3, Lost: "x", Alone: true, Stale: "y"}, a)
		if err != nil || reply != (placement.Reply{}) {
			t.Fatalf("%+v, %v", reply, err)
		}
		b, err := a.Finish(block.Peer)
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		a.Leave()
	}
	if odd.String() != "map[older:3]" || strings.Count(log.b.String(), "older version") != 1 || !log.has("missing=X-Cached-Epoch") || !log.has("peer=server") {
		t.Errorf("counted %s, log: %s", &odd, log.b.String())
	}
	if n := idleConns(p); n != 1 || asks.Load() != 3 {
		t.Errorf("%d idle connections after %d asks", n, asks.Load())
	}
}

// A node of an older version does not know a new kind of ask: its refusal says
// which word it was, and is none of the block.
func TestAPeerOfAnOlderVersionRefusesANewKindClearly(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	to := servePeers(t, held(b), PeerServerOptions{})
	c := dial(t, to.Address)
	fmt.Fprintf(c, "GET %s?encoding=raw&id=%s&kind=teleport HTTP/1.1\r\nHost: x\r\n\r\n", readBlockPath, b.ID())
	got := make([]byte, 4096)
	n, _ := c.Read(got)
	if text := string(got[:n]); !strings.HasPrefix(text, "HTTP/1.1 400 ") || !strings.Contains(text, "teleport") {
		t.Errorf("%s", text)
	}
}

// A newer node may say more, in its asks and in its answers.
func TestAPeerOfANewerVersionIsUnderstood(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	to := servePeers(t, held(b), PeerServerOptions{Zone: "z"})
	c := dial(t, to.Address)
	fmt.Fprintf(c, "GET %s?encoding=raw&id=%s&mood=good&depth-wanted=2&zone=z HTTP/1.1\r\nHost: x\r\nX-Cached-Mood: good\r\n\r\n", readBlockPath, b.ID())
	got := make([]byte, 15)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "HTTP/1.1 200 OK" {
		t.Errorf("%q, %v", got, err)
	}

	var log logs
	newer := scripted(t, says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-Cached-Tier: l5\r\nX-Cached-Block-Length: 1000\r\nX-Cached-Epoch: 1\r\nX-Cached-Mood: good\r\n\r\n"+string(b.Bytes())))
	fetchBlock(t, newPeers(t, PeerClientOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))}), newer, b)
	if log.has("peer") {
		t.Errorf("log: %s", log.b.String())
	}
}
