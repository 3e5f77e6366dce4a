package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"testing/iotest"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// A memoryConn reads from one place and writes to another.
type memoryConn struct {
	net.Conn
	from   io.Reader
	to     bytes.Buffer
	writes int
}

func (c *memoryConn) Read(p []byte) (int, error) { return c.from.Read(p) }

func (c *memoryConn) Write(p []byte) (int, error) {
	c.writes++
	return c.to.Write(p)
}

func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

func frameConnOver(c *memoryConn) *frameConn {
	return newFrameConn(&replayConn{stallConn: stallConn{c, time.Minute}})
}

func TestFrameConnOverstatesTheLargestFrame(t *testing.T) {
	frame := func(v uint32) http2.Setting { return http2.Setting{ID: http2.SettingMaxFrameSize, Val: v} }
	other := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 70_000}
	for name, tt := range map[string]struct {
		stated  []http2.Setting
		want    uint32 // what net/http is told
		largest uint32 // what is remembered
	}{
		"nothing":    {nil, grpcFrameClaim, smallestFrame},
		"no size":    {[]http2.Setting{other}, grpcFrameClaim, smallestFrame},
		"small":      {[]http2.Setting{frame(20_000), other}, grpcFrameClaim, 20_000},
		"large":      {[]http2.Setting{other, frame(2 << 20)}, 2 << 20, 2 << 20},
		"impossible": {[]http2.Setting{frame(5)}, 5, smallestFrame}, // net/http refuses it
	} {
		for _, slow := range []bool{false, true} {
			var in bytes.Buffer
			in.WriteString(http2.ClientPreface)
			w := http2.NewFramer(&in, nil)
			for range 2 {
				w.WriteSettings(tt.stated...)
				w.WriteSettingsAck()
				w.WriteData(1, true, make([]byte, 10_000))
			}
			conn := &memoryConn{from: &in}
			if slow {
				conn.from = iotest.OneByteReader(&in)
			}
			c := frameConnOver(conn)
			preface := make([]byte, len(http2.ClientPreface))
			if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
				t.Fatalf("%s: %q, %v", name, preface, err)
			}
			r := http2.NewFramer(nil, c)
			for range 2 {
				f, err := r.ReadFrame()
				if tt.want < smallestFrame && err != nil {
					break // the framer refuses it as well
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				settings := f.(*http2.SettingsFrame)
				if v, _ := settings.Value(http2.SettingMaxFrameSize); v != tt.want || settings.HasDuplicates() || c.largest.Load() != tt.largest {
					t.Errorf("%s: told %d, remembered %d", name, v, c.largest.Load())
				}
				for _, s := range tt.stated {
					if v, _ := settings.Value(s.ID); s.ID != http2.SettingMaxFrameSize && v != s.Val {
						t.Errorf("%s: lost %v", name, s)
					}
				}
				if f, err := r.ReadFrame(); err != nil || !f.(*http2.SettingsFrame).IsAck() {
					t.Fatalf("%s: %v, %v", name, f, err)
				}
				if f, err := r.ReadFrame(); err != nil || f.Header().Length != 10_000 {
					t.Fatalf("%s: %v, %v", name, f, err)
				}
			}
			if rest, err := io.ReadAll(c); tt.want >= smallestFrame && (err != nil || len(rest) > 0) {
				t.Errorf("%s: %d bytes left, %v", name, len(rest), err)
			}
		}
	}
}

// However net/http's writes fall, the peer sees the same bytes in frames it takes.
func TestFrameConnCutsFrames(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var all, want bytes.Buffer
		w := http2.NewFramer(&all, nil)
		for i := range 1 + random.IntN(4) {
			content := make([]byte, random.IntN(100_000))
			for j := range content {
				content[j] = byte(random.Uint32())
			}
			w.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: content[:min(len(content), 90)], EndHeaders: true})
			w.WriteData(uint32(2*i+1), true, content)
			want.Write(content)
		}
		conn := &memoryConn{}
		c := frameConnOver(conn)
		c.largest.Store(smallestFrame + random.Uint32N(60_000))
		for all.Len() > 0 {
			p := all.Next(1 + random.IntN(50_000))
			if n, err := c.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		r, stream := http2.NewFramer(nil, &conn.to), uint32(0)
		for {
			f, err := r.ReadFrame()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.HeadersFrame:
				if stream != 0 {
					t.Fatalf("stream %d has no end", stream)
				}
				stream = f.StreamID
			case *http2.DataFrame:
				if f.Length > c.largest.Load() || f.StreamID != stream || !bytes.Equal(f.Data(), want.Next(int(f.Length))) {
					t.Fatalf("%v on stream %d, the peer takes %d", f, stream, c.largest.Load())
				}
				if f.StreamEnded() {
					stream = 0
				}
			}
		}
		if want.Len() > 0 || stream != 0 {
			t.Fatalf("%d bytes missing", want.Len())
		}
	}
}

func TestFrameConnWaitsForTheRestOfAFrame(t *testing.T) {
	var all bytes.Buffer
	http2.NewFramer(&all, nil).WriteData(1, true, make([]byte, 1000))
	conn := &memoryConn{}
	c := frameConnOver(conn)
	c.Write(all.Next(4))
	c.Write(all.Next(500))
	if conn.to.Len() > 0 {
		t.Errorf("%d bytes of a frame were written by themselves", conn.to.Len())
	}
	c.Write(all.Bytes())
	if conn.to.Len() != frameHead+1000 {
		t.Errorf("%d bytes written", conn.to.Len())
	}
}

// Clients with all sizes of frames and windows, in every way that HTTP/2 is spoken here.
func TestFrameSizes(t *testing.T) {
	b := blocktest.Block(1, block.MaxSize)
	defer b.Release()
	base := serve(t, Services{Blocks: inMemory(b)}, Options{})
	for _, config := range []*http.HTTP2Config{
		{},
		{MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerStream: 20_000},
		{MaxReadFrameSize: 20_001},
		{MaxReadFrameSize: 600_000, MaxReceiveBufferPerStream: 1 << 20},
		TunedHTTP2(),
	} {
		hc := h2cClient(t, config)
		if got := get(t, hc, "GET", base+"/blocks/"+b.ID().String()); !bytes.Equal(got.body, b.Bytes()) {
			t.Errorf("%+v: raw: %d bytes", config, len(got.body))
		}
		for _, option := range []connect.ClientOption{connect.WithGRPC(), connect.WithGRPCWeb(), connect.WithProtoJSON()} {
			resp, err := cachedv1connect.NewBlockServiceClient(hc, base, option).
				ReadBlock(context.Background(), &cachedv1.ReadBlockRequest{Id: b.ID().String()})
			if err != nil || !bytes.Equal(resp.Content, b.Bytes()) {
				t.Errorf("%+v: %d bytes, %v", config, len(resp.GetContent()), err)
			}
		}
	}
}
