package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// scripted answers every ask on a port by script, which is told when to end.
func scripted(tb testing.TB, script func(c net.Conn, ended <-chan struct{})) placement.Member {
	tb.Helper()
	l := listen(tb)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				var head [maxHead]byte
				for n := 0; !bytes.HasSuffix(head[:n], []byte("\r\n\r\n")); {
					m, err := c.Read(head[n:])
					if err != nil {
						return
					}
					n += m
				}
				script(c, ended)
			})
		}
	})
	tb.Cleanup(func() { close(ended); l.Close(); wg.Wait() })
	return placement.Member{Name: "server", Address: l.Addr().String()}
}

// says sends text and waits for the asker to go, so that only what it says can
// end the ask.
func says(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, _ <-chan struct{}) {
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}

// endlessly sends text until the asker has gone.
func endlessly(first, text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, ended <-chan struct{}) {
		io.WriteString(c, first)
		for {
			select {
			case <-ended:
				return
			default:
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// slowly sends text piece by piece.
func slowly(text string, gap time.Duration) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, ended <-chan struct{}) {
		for i := range text {
			select {
			case <-time.After(gap):
			case <-ended:
				return
			}
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
		}
	}
}

// Whatever a peer says, an ask ends, with an error that names the peer and what
// it did, and the connection is not used again.
func TestPeersBadAnswers(t *testing.T) {
	const size = 1000
	ok := "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-Cached-Tier: l1\r\nX-Cached-Block-Length: 1000\r\n"
	field := func(from, to string) string { return strings.Replace(ok, from, to, 1) + "\r\n" }
	body := strings.Repeat("x", size)
	hangUp := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, _ <-chan struct{}) { io.WriteString(c, text) }
	}
	tests := map[string]struct {
		script func(net.Conn, <-chan struct{})
		want   string
	}{
		"nothing":          {hangUp(""), "closed before the response"},
		"an empty line":    {says("\r\n\r\n"), "status line"},
		"no head":          {says("hello there\r\n\r\n"), "status line"},
		"half a head":      {hangUp(ok), "response head"},
		"another protocol": {says("HTTP/2 200 OK\r\n\r\n"), "status line"},
		"a strange status": {says("HTTP/1.1 999 OK\r\n\r\n"), "status"},
		"no colon":         {says(ok + "what\r\n\r\n"), "no colon"},
		"endless head":     {endlessly("HTTP/1.1 200 OK\r\n", "X-Y: z\r\n"), "larger than"},
		"endless line":     {endlessly("HTTP/1.1 200 ", "x"), "larger than"},
		"endless interims": {endlessly("", "HTTP/1.1 102 Processing\r\n\r\n"), "interim answers"},
		"slow head":        {slowly(ok+"\r\n"+body, 40*time.Millisecond), "no progress"},
		"slow body": {func(c net.Conn, ended <-chan struct{}) {
			io.WriteString(c, ok+"\r\n")
			slowly(body, 10*time.Millisecond)(c, ended)
		}, "no progress"},
		"no length":                 {says("HTTP/1.1 200 OK\r\nX-Cached-Block-Length: 1000\r\n\r\n"), "does not state its length"},
		"chunked":                   {says(ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), "does not state its length"},
		"endless chunks":            {endlessly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n"), "does not state its length"},
		"no block length":           {says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), "no X-Cached-Block-Length"},
		"lengths differ":            {says(field("Block-Length: 1000", "Block-Length: 1001")), "1000 bytes, of a block of 1001"},
		"shorter than the offset":   {says(field("Content-Length: 1000", "Content-Length: 999")), "999 bytes, of a block of 1000"},
		"negative length":           {says(field("Content-Length: 1000", "Content-Length: -1")), "Content-Length"},
		"two lengths":               {says(ok + "Content-Length: 7\r\n\r\n"), "Content-Length"},
		"no number":                 {says(field("Block-Length: 1000", "Block-Length: 1k")), "number of bytes"},
		"larger than a block":       {says(strings.ReplaceAll(ok, "1000", "1048577") + "\r\n"), "at most 1048576"},
		"huge":                      {says(strings.ReplaceAll(ok, "1000", "999999999999999999") + "\r\n"), "at most 1048576"},
		"too large to say":          {says(strings.ReplaceAll(ok, "1000", "99999999999999999999") + "\r\n"), "Content-Length"},
		"a body that breaks off":    {hangUp(ok + "\r\n" + body[:400]), "broke off after 400 of 1000"},
		"a body that stops":         {says(ok + "\r\n" + body[:400]), "no progress"},
		"depth":                     {says(ok + "X-Cached-Depth: 256\r\n\r\n"), "X-Cached-Depth"},
		"epoch":                     {says(ok + "X-Cached-Epoch: -1\r\n\r\n"), "X-Cached-Epoch"},
		"a redirect to nowhere":     {says("HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n\r\n"), "without X-Cached-Redirect"},
		"a redirect to a long name": {says("HTTP/1.1 307 x\r\nContent-Length: 0\r\nX-Cached-Redirect: " + strings.Repeat("n", 257) + "\r\n\r\n"), "at most 256"},
		"a redirect to no name":     {says("HTTP/1.1 307 x\r\nContent-Length: 0\r\nX-Cached-Redirect: a\x1bb\r\n\r\n"), "printable"},
		"no bytes":                  {says("HTTP/1.1 204 No Content\r\n\r\n"), "no bytes"},
		"another server's 404":      {says("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnope!"), "HTTP status 404"},
		"an error that breaks off":  {hangUp("HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\n{"), "broke off"},
		"an error without end":      {endlessly("HTTP/1.1 500 x\r\nContent-Length: 99999999999\r\n\r\n", "x"), "HTTP status 500"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := scripted(t, tt.script)
			p := newPeers(t, PeerClientOptions{Silence: 400 * time.Millisecond})
			a := block.NewArrival(block.Sum([]byte(body)), block.DefaultPool)
			defer a.Leave()
			_, err := p.Fetch(t.Context(), to, a.ID(), placement.Ask{}, a)
			if !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrNotFound) {
				t.Fatalf("error %v, want unavailable", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "peer server (127.0.0.1:") {
				t.Errorf("error %q, want %q", err, tt.want)
			}
			if errors.Is(err, placement.ErrStalled) != (tt.want == "no progress") {
				t.Errorf("stalled: %v", err)
			}
			if n := idleConns(p); n != 0 {
				t.Errorf("%d connections kept", n)
			}
			if a.Size() > block.MaxSize || a.Have() > size {
				t.Errorf("%d of %d bytes arrived", a.Have(), a.Size())
			}
		})
	}
}

// A connection that carries more than the answer is not used again.
func TestPeersLeftovers(t *testing.T) {
	content := blocktest.Bytes(1, 1000)
	head := "HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Cached-Block-Length: 1000\r\nX-Cached-Redirect: n\r\n%s\r\n"
	for name, text := range map[string]string{
		"a longer body":        fmt.Sprintf(head, "200 OK", 1000, "") + string(content) + "more",
		"a redirect with text": fmt.Sprintf(head, "307 x", 4, "") + "more",
		"it will close":        fmt.Sprintf(head, "307 x", 0, "Connection: close\r\n"),
		"HTTP/1.0":             strings.Replace(fmt.Sprintf(head, "410 x", 0, ""), "HTTP/1.1", "HTTP/1.0", 1),
	} {
		t.Run(name, func(t *testing.T) {
			to := scripted(t, says(text))
			p := newPeers(t, PeerClientOptions{})
			a := block.NewArrival(block.Sum(content), block.DefaultPool)
			defer a.Leave()
			if _, err := p.Fetch(t.Context(), to, a.ID(), placement.Ask{}, a); err != nil {
				t.Fatal(err)
			}
			if n := idleConns(p); n != 0 {
				t.Errorf("%d connections kept", n)
			}
		})
	}
}

// A second source that speaks of a block of another size is not believed.
func TestPeersSizeChanges(t *testing.T) {
	to := scripted(t, says("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\nX-Cached-Block-Length: 2000\r\n\r\n"))
	a := block.NewArrival(block.Sum(nil), block.DefaultPool)
	defer a.Leave()
	if err := a.Begin(1000); err != nil {
		t.Fatal(err)
	}
	_, err := newPeers(t, PeerClientOptions{}).Fetch(t.Context(), to, a.ID(), placement.Ask{}, a)
	if !errors.Is(err, block.ErrUnavailable) || !errors.Is(err, block.ErrCorrupt) {
		t.Error(err)
	}
}

// Nobody listens, or nobody answers the handshake.
func TestPeersUnreachable(t *testing.T) {
	l := listen(t)
	nobody := l.Addr().String()
	l.Close()
	mute := listen(t) // accepts, and that is all
	_, client := secure(t)
	client.DialTimeout = 100 * time.Millisecond
	p := newPeers(t, client)
	a := block.NewArrival(block.Sum(nil), block.DefaultPool)
	defer a.Leave()
	for _, address := range []string{nobody, mute.Addr().String(), "", "nonsense", "256.0.0.1:x"} {
		_, err := p.Fetch(t.Context(), placement.Member{Name: "n", Address: address}, a.ID(), placement.Ask{}, a)
		if !errors.Is(err, block.ErrUnavailable) || !strings.Contains(err.Error(), "peer n ("+address+")") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// Askers that send rubbish, dawdle or do not read are cut off, and what they
// held comes back.
func TestPeerServerHostileAskers(t *testing.T) {
	b := blocktest.Block(1, block.MaxSize)
	defer b.Release()
	done := make(chan error, 100)
	server := PeerServerOptions{HeaderTimeout: 200 * time.Millisecond, IdleTimeout: 200 * time.Millisecond, StallTimeout: 200 * time.Millisecond}
	serving := answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		a := block.Arrived(b.Retain())
		return PeerAnswer{Source: a, Done: func(_ int, err error) { a.Leave(); done <- err }}, nil
	})
	ask := "GET " + readBlockPath + "?encoding=raw&id=" + b.ID().String() + " HTTP/1.1\r\nHost: x\r\n\r\n"
	run := func(t *testing.T, server PeerServerOptions, sends map[string]string) {
		to := servePeers(t, serving, server)
		for name, send := range sends {
			c := dial(t, to.Address)
			c.(*net.TCPConn).SetReadBuffer(4096)
			io.WriteString(c, send)
			if name == "does not read" {
				if err := <-done; err == nil {
					t.Errorf("%s: what nobody took counts as sent", name)
				}
				c.Close()
				continue
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s: the connection is still open", name)
			}
		}
	}
	run(t, server, map[string]string{
		"nothing":       "",
		"half an ask":   ask[:30],
		"rubbish":       "\x16\x03\x01 this is no HTTP\r\n\r\n",
		"endless head":  "GET " + readBlockPath + "?encoding=raw&" + strings.Repeat("x", 20_000),
		"does not read": strings.Repeat(ask, 20),
	})
	secured, _ := secure(t)
	secured.HeaderTimeout = server.HeaderTimeout
	var log logs
	secured.Logger = slog.New(slog.NewTextHandler(&log, nil))
	run(t, secured, map[string]string{
		"no handshake":   "",
		"half a hello":   "\x16\x03\x01\x02\x00\x01\x00",
		"no TLS":         ask,
		"endless record": "\x16\x03\x01\xff\xff" + strings.Repeat("x", 70_000),
	})
}

// What the wire has not taken yet does not count as sent.
func TestPeerSendCountsWhenItIsOnTheWire(t *testing.T) {
	b := blocktest.Block(1, block.MaxSize)
	defer b.Release()
	done := make(chan struct{})
	to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		a := block.Arrived(b.Retain())
		return PeerAnswer{Source: a, Done: func(int, error) { a.Leave(); close(done) }}, nil
	}), PeerServerOptions{Unsent: 64 << 10})
	l := net.Dialer{}
	raw, err := l.DialContext(t.Context(), "tcp", to.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprintf(raw, "GET %s?encoding=raw&id=%s HTTP/1.1\r\nHost: x\r\n\r\n", readBlockPath, b.ID())
	if _, err := raw.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
		t.Error("a block that the asker does not read counts as sent")
	case <-time.After(200 * time.Millisecond):
	}
	go io.Copy(io.Discard, raw)
	<-done
}

// An answer's name cannot break out of its line.
func TestPeerServerKeepsNamesInTheirLine(t *testing.T) {
	to := servePeers(t, answers(func(context.Context, block.ID, placement.Ask, func() error) (PeerAnswer, error) {
		return PeerAnswer{Reply: placement.Reply{Verdict: placement.Redirect, To: "n\r\nX-Cached-Hot: 1"}}, nil
	}), PeerServerOptions{})
	a := block.NewArrival(block.Sum(nil), block.DefaultPool)
	defer a.Leave()
	if reply, err := newPeers(t, PeerClientOptions{}).Fetch(t.Context(), to, a.ID(), placement.Ask{}, a); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestPeerQueryErrors(t *testing.T) {
	id := "id=" + block.Sum(nil).String()
	for _, query := range []string{
		"", "id=", "id=x", id + "&offset=-1", id + "&offset=1048577", id + "&kind=steal", id + "&epoch=x", id + "&hops=256",
		id + "&cause=boredom", id + "&lost=%zz", id + "&lost=%00", id + "&reader=" + strings.Repeat("x", 257),
	} {
		if r, err := parsePeerQuery(query); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %+v, %v", query, r, err)
		}
	}
	if _, err := parsePeerQuery(id + "&encoding=raw&&=&future=%7Bmore%7D&length=7"); err != nil {
		t.Errorf("what a newer node may say: %v", err)
	}
}

func FuzzPeerQuery(f *testing.F) {
	id := block.Sum(nil).String()
	for _, s := range []string{"", "id=" + id, "encoding=raw&id=" + id + "&kind=climb&offset=5&epoch=9&hops=3&lost=a&stale=b&zone=c&reader=d&image=a%2Fb+c&cause=repair&new=1", "id=%", "&&=&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r, err := parsePeerQuery(query)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%q: %v is not ErrInvalid", query, err)
			}
			return
		}
		again, err := parsePeerQuery(string(appendPeerQuery(nil, r)))
		if err != nil || again != r {
			t.Fatalf("%q: %+v became %+v, %v", query, r, again, err)
		}
	})
}

// A tapeConn is a peer that has said everything already.
type tapeConn struct {
	net.Conn
	tape io.Reader
}

func (c tapeConn) Read(p []byte) (int, error)  { return c.tape.Read(p) }
func (c tapeConn) Write(p []byte) (int, error) { return len(p), nil }
func (c tapeConn) SetDeadline(time.Time) error { return nil }
func (c tapeConn) Close() error                { return nil }

// Whatever a peer answers, a verdict makes sense and the bytes stay in bounds.
func FuzzPeerAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Cached-Block-Length: 5\r\nX-Cached-Depth: 2\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 307 x\r\nContent-Length: 0\r\nX-Cached-Redirect: n\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 410 x\r\nContent-Length: 0\r\nX-Cached-Epoch: 7\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 404 x\r\nContent-Length: 38\r\n\r\n" + `{"code":"not_found","message":"no one"}`))
	p := NewPeers(PeerClientOptions{})
	f.Fuzz(func(t *testing.T, answer []byte) {
		a := block.NewArrival(block.Sum([]byte("abcde")), block.DefaultPool)
		defer a.Leave()
		if err := a.Begin(5); err != nil {
			t.Fatal(err)
		}
		a.Advance(copy(a.Space(), "ab"))
		tape := tapeConn{tape: bytes.NewReader(answer)}
		x := fetch{peers: p, into: a, deadline: time.Now().Add(time.Minute), request: peerRequest{ask: placement.Ask{Offset: 2}}}
		reply, err := x.on(context.Background(), &peerConn{rawConn: rawConn{net: tape}, raw: tape}, &peerPool{peers: p})
		switch {
		case err != nil && a.Have() > 5:
			t.Fatalf("%q: %d bytes, %v", answer, a.Have(), err)
		case err == nil && reply.Verdict == placement.Serve && a.Have() != 5:
			t.Fatalf("%q: served, and %d bytes are there", answer, a.Have())
		case err == nil && reply.Verdict == placement.Redirect && reply.To == "":
			t.Fatalf("%q: redirected to nobody", answer)
		}
	})
}
